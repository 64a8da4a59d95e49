//! The parts of `make bench-serve` that Python does not do: networks to serve, an echo to compare
//! with, the machine's matrix product, and swaps while others load. `compare.py` calls them; each
//! prints one line of JSON.

mod echo;
mod product;
mod store;
mod swap;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::{env, str::FromStr};
use tokio::runtime::Builder;

const USAGE: &str = "\
serving echo ANSWER_BYTES            a bare tonic server; answers the first bytes of what comes, until it is killed
serving product ROWS WIDTH,WIDTH,…   FLOP/s of the products of so many rows with layers of these widths, on one thread
serving store FOLDER HIDDEN,HIDDEN,… publishes two checkpoints of such a network, serves the first, and writes images
serving swap STORAGE ADDRESS COUNT   lets the checkpoints of the storage serve in turns, each once the one before serves";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The echo is measured; the other tools share the load generator's core and should use little
    // of it.
    let mut runtime = match words[..] {
        ["echo", ..] => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    runtime.enable_all().build()?.block_on(run(&words))
}

async fn run(words: &[&str]) -> Result<()> {
    let result: Value = match words[..] {
        ["echo", bytes] => return echo::serve(bytes.parse()?).await,
        ["product", rows, widths] => {
            let widths: Vec<usize> = numbers(widths)?;
            json!({ "flops": product::flops(rows.parse()?, &widths) })
        }
        ["store", folder, hidden] => {
            let ids = store::make(folder, &numbers(hidden)?).await?;
            json!({ "checkpoints": ids })
        }
        ["swap", storage, address, count] => {
            let seconds = swap::swap(storage, address, count.parse()?).await?;
            json!({ "seconds": seconds })
        }
        _ => bail!("{USAGE}"),
    };
    println!("{result}");
    Ok(())
}

fn numbers<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> Result<Vec<T>> {
    text.split(',')
        .map(|number| number.parse().with_context(|| format!("{text:?}")))
        .collect()
}
