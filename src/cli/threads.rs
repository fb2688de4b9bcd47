//! The thread pool that `--threads` asks for.

use rayon::ThreadPool;

use crate::error::{Error, Result};

/// More threads than any machine that this is meant for has cores.
const MOST: usize = 1024;

/// A pool of `threads`, or of one a core.
///
/// # Errors
/// If it is not 1 to 1024, or the system refuses that many.
pub fn pool(threads: Option<usize>) -> Result<ThreadPool> {
    let refuse = |problem: String| {
        Error::new("--threads", problem).remedy("give 1 to 1024, or leave it out for one a core")
    };
    match threads {
        Some(n) if !(1..=MOST).contains(&n) => Err(refuse(format!("{n} threads were asked for"))),
        _ => rayon::ThreadPoolBuilder::new()
            .num_threads(threads.unwrap_or(0))
            .build()
            .map_err(|e| refuse(e.to_string())),
    }
}
