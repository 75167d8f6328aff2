//! Those who are told what happens in a world.

use crate::observation::Observed;
use conclave_protocol::time::Time;

/// Somebody who watches a run.
pub trait Watch {
    /// Takes note of an observation; they come in the order of time.
    fn observe(&mut self, observed: &Observed<'_>);

    /// Takes note that something happens at this time, whatever it is: the moments of a run. The default does not.
    fn moment(&mut self, at: Time) {
        let _ = at;
    }
}

/// Nobody.
pub struct Nobody;

impl Watch for Nobody {
    fn observe(&mut self, _: &Observed<'_>) {}
}

/// Two who watch the same run.
pub struct Both<'a>(pub &'a mut dyn Watch, pub &'a mut dyn Watch);

impl Watch for Both<'_> {
    fn observe(&mut self, observed: &Observed<'_>) {
        self.0.observe(observed);
        self.1.observe(observed);
    }

    fn moment(&mut self, at: Time) {
        self.0.moment(at);
        self.1.moment(at);
    }
}
