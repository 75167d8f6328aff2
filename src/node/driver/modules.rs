//! What local modules say and are told.

use super::{Driver, talking::OWN};
use crate::gossip_api::{FromConnection, server::VALIDATION_QUEUE};
use conclave_protocol::{
    announcements::{Command, Event},
    node::Input,
};

impl Driver {
    /// Takes the validations that wait, before anything else has its turn.
    pub(super) fn take_validations(&mut self) {
        let mut taken = 0;
        while taken < VALIDATION_QUEUE
            && let Ok(validation) = self.gossip.intake.validations.try_recv()
        {
            self.input(Input::Module(validation));
            taken += 1;
        }
        if taken > 0 {
            self.carry_out();
        }
    }

    pub(super) fn module(&mut self, said: FromConnection) {
        match said {
            FromConnection::Connected(module, outbox) => self.gossip.connected(module, outbox),
            FromConnection::Command(command) => {
                if let Command::Left(module) = command {
                    self.gossip.left(module);
                }
                self.input(Input::Module(command));
            }
        }
    }

    /// Carries out what the announcements want.
    pub(super) fn announcements(&mut self, event: Event) {
        match event {
            Event::Notify { module: OWN, notification, data, .. } => self.hear(notification, &data),
            Event::Notify { module, notification, data_type, data } => {
                if !self.gossip.notify(module, notification, data_type, &data) {
                    self.input(Input::Module(Command::Left(module)));
                }
            }
            Event::Close { module, reason } => self.gossip.close(module, reason.to_string()),
            Event::Outcome(outcome) => self.gossip.metrics.count(outcome.name()),
            Event::Publish { data_type, per_origin, bytes } => {
                if let Err(error) = self.network.publish(data_type, per_origin, &bytes) {
                    tracing::debug!(data_type, %error, "an announcement is not sent");
                    self.gossip.metrics.count("not_sent");
                } else {
                    self.gossip.metrics.published(bytes.len());
                }
            }
            other => self.network.announcements(&other),
        }
    }
}
