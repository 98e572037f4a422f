//! The empty smol program that the server's memory is compared with: an executor with one task, which waits.

use smol::{LocalExecutor, Timer};
use std::time::Duration;

fn main() {
    let executor = LocalExecutor::new();
    let task = executor.spawn(async {
        loop {
            Timer::after(Duration::from_secs(1)).await;
        }
    });
    smol::block_on(executor.run(task))
}
