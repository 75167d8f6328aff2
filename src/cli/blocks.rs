//! `conclave blocks`: what is decided.

use super::{
    block_tree,
    failure::{Context, Failure, Outcome},
    output::{date, table},
    session::Session,
    status::called,
};
use crate::api::types::{BlockInfo, RecordKind};
use clap::{Parser, Subcommand};
use conclave_ledger::{block::Decided, signed::Height};
use std::path::PathBuf;

/// Shows decided heights
#[derive(Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  conclave blocks list --limit 5 && conclave blocks show 1\n  conclave blocks --tree --heights 50 --svg forks.svg"
)]
pub(crate) struct Blocks {
    #[command(subcommand)]
    command: Option<Command>,
    /// Draw the last heights with their branches, where proofs of work decide
    #[arg(long)]
    tree: bool,
    /// With --tree: how many heights, up to 100
    #[arg(long, default_value_t = 30, requires = "tree")]
    heights: usize,
    /// With --tree: also draw them to this file, as SVG
    #[arg(long, value_name = "FILE", requires = "tree")]
    svg: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Lists heights, the newest first
    #[command(after_help = "Example:\n  conclave blocks list --from 100 --limit 20")]
    List {
        /// The newest to list [default: the last decided]
        #[arg(long, value_name = "HEIGHT")]
        from: Option<Height>,
        /// How many at most, up to 100
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Shows one height with its transactions and who decided it
    #[command(after_help = "Example:\n  conclave blocks show 7 --output json")]
    Show {
        /// The height
        height: Height,
    },
}

impl Blocks {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let Some(command) = self.command else {
            if !self.tree {
                return Err(Failure::new("nothing to do").advise("See conclave blocks --help."));
            }
            let tree = client.block_tree(Some(self.heights)).await?;
            if let Some(path) = &self.svg {
                std::fs::write(path, block_tree::svg(&tree))
                    .context(|| format!("cannot write {}", path.display()))?;
            }
            return session.output.show(&tree, block_tree::text);
        };
        match command {
            Command::List { from, limit } => {
                session.output.show(&client.blocks(from, Some(limit)).await?, |answer| {
                    let rows: Vec<Vec<String>> = answer
                        .blocks
                        .iter()
                        .map(|block| {
                            let kind = match block.kind {
                                RecordKind::Block => "block",
                                RecordKind::Skip => "skip",
                            };
                            vec![
                                block.height.to_string(),
                                kind.into(),
                                block.timestamp.map(date).unwrap_or_default(),
                                block.leader.as_ref().map(called).unwrap_or_default(),
                                block.transactions.to_string(),
                                block.hash.to_string(),
                            ]
                        })
                        .collect();
                    table(&["HEIGHT", "KIND", "TIME", "LEADER", "TXS", "HASH"], &rows)
                })
            }
            Command::Show { height } => session.output.show(&client.block(height).await?, describe),
        }
    }
}

fn describe(info: &BlockInfo) -> String {
    let mut text = format!("height      {}\nhash        {}\n", info.height, info.hash);
    match &info.record {
        Decided::Skip(skip) => text.push_str(&format!("parent      {}\nskipped: no block\n", skip.parent)),
        Decided::Block(block) => {
            let leader = info.leader.as_ref().map(called).unwrap_or_default();
            let header = &block.header;
            if let Some(target) = header.work.and_then(|seal| seal.target.target()) {
                text.push_str(&format!("work        {:.0} hashes expected\n", target.work().as_f64()));
            }
            text.push_str(&format!(
                "parent      {}\nleader      {leader}\ntime        {}\nstate       {} (before it)\n",
                header.parent,
                date(header.timestamp),
                header.state,
            ));
        }
    }
    if let Some(proof) = &info.proof {
        let names: Vec<String> = proof
            .signers
            .iter()
            .map(|signer| signer.validator.as_ref().map_or_else(|| signer.index.to_string(), called))
            .collect();
        let kind = if proof.proof.is_certificate() { "certificate" } else { "commits" };
        text.push_str(&format!("decided by  {kind} of {}\n", names.join(", ")));
    }
    for id in &info.transactions {
        text.push_str(&format!("transaction {id}\n"));
    }
    text
}
