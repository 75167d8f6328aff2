//! What others say while somebody sits at the console.

use super::screen::Screen;
use crate::{api::types::Event, cli::say, client::Client};
use std::time::Duration;

/// First pause before a node that is gone is asked again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Shows what is said, and whether the node is there, until the console ends.
pub(super) async fn hear(client: Client, screen: Screen) {
    let mut pause = FIRST_PAUSE;
    let mut is_gone = false;
    loop {
        if let Ok(mut events) = client.events().await {
            if std::mem::take(&mut is_gone) {
                screen.show("the node is back".into());
            }
            pause = FIRST_PAUSE;
            while let Some(Ok(event)) = events.next().await {
                if let Event::Announced { peer_id, name, text, .. } = event {
                    screen.show(say::line(&peer_id, name.as_deref(), &text));
                }
            }
        }
        if !std::mem::replace(&mut is_gone, true) {
            screen.show("the node is gone; this console waits for it".into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
