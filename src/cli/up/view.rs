//! The nodes as a table: redrawn in place on a terminal, a line for each change elsewhere.

use super::network::Node;
use crate::{
    api::types::Status,
    cli::{
        failure::Outcome,
        output::{Output, is_watched, line, table},
        status::{called, state_of},
    },
};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// A node in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    name: String,
    api: String,
    height: String,
    leader: String,
    peers: String,
    state: String,
}

impl Row {
    /// A node by what it says of itself, if it does; `is_child` if `up` runs it.
    pub(super) fn new(node: &Node, status: Option<Status>, is_child: bool) -> Self {
        let (name, api) = (node.name.clone(), node.api.clone());
        match status {
            Some(status) => Self {
                name,
                api,
                height: status.height.to_string(),
                leader: match status.proof_of_work {
                    Some(_) => "anyone".into(),
                    None => called(&status.leader),
                },
                peers: status.peers.to_string(),
                state: state_of(&status),
            },
            None => {
                let state = if is_child { "does not answer" } else { "down" };
                let nothing = || "–".to_owned();
                Self {
                    name,
                    api,
                    height: nothing(),
                    leader: nothing(),
                    peers: nothing(),
                    state: state.into(),
                }
            }
        }
    }

    fn cells(&self) -> Vec<String> {
        let Self { name, api, height, leader, peers, state } = self.clone();
        vec![name, api, height, leader, peers, state]
    }
}

/// The table, and where it is drawn.
pub(super) struct View {
    output: Output,
    drawing: Option<(MultiProgress, Vec<ProgressBar>)>,
    last: Vec<Row>,
}

impl View {
    /// A view on standard output.
    pub(super) fn new(output: Output) -> Self {
        let drawing = (output == Output::Text && is_watched()).then(|| (MultiProgress::new(), Vec::new()));
        Self { output, drawing, last: Vec::new() }
    }

    /// Shows the nodes as they are now.
    pub(super) fn show(&mut self, rows: Vec<Row>) -> Outcome {
        if rows == self.last {
            return Ok(());
        }
        if let Some((drawing, lines)) = &mut self.drawing {
            let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
            let text = table(&["NODE", "API", "HEIGHT", "NEXT LEADER", "PEERS", "STATE"], &cells);
            for (number, text) in text.lines().enumerate() {
                if lines.len() <= number {
                    let style = ProgressStyle::with_template("{msg}").expect("the template is well formed");
                    lines.push(drawing.add(ProgressBar::new_spinner().with_style(style)));
                }
                lines[number].set_message(text.to_owned());
            }
        } else if self.output == Output::Text {
            for row in &rows {
                // Without a terminal, only what a reader of a log wants: not each height.
                let before = self.last.iter().find(|before| before.name == row.name);
                if before.is_none_or(|before| (&before.state, &before.peers) != (&row.state, &row.peers)) {
                    let Row { name, api, height, peers, state, .. } = row;
                    line(&format!("{name}  {api}  height {height}  peers {peers}  {state}"))?;
                }
            }
        }
        self.last = rows;
        Ok(())
    }

    /// Says something above the table.
    pub(super) fn note(&self, text: &str) -> Outcome {
        match &self.drawing {
            Some((drawing, _)) => Ok(drawing.println(text)?),
            None => self.output.say(text),
        }
    }

    /// Leaves the table as it is.
    pub(super) fn finish(&self) {
        for bar in self.drawing.iter().flat_map(|(_, lines)| lines) {
            bar.abandon();
        }
    }
}
