//! `pcsd run` with counted allocations: for each line on the standard input, prints how many there were so far and
//! their bytes. The thread that prints is not counted.
//!
//! Usage: `alloc CONFIG`. Ends like pcsd, on SIGTERM.

mod counter;

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: counter::Counting = counter::Counting;

fn main() -> ExitCode {
    let Some(config) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: alloc CONFIG");
        return ExitCode::from(2);
    };
    std::thread::spawn(report);
    match pcsd::runtime::daemon::run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("alloc: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report() {
    counter::leave_out_this_thread();
    for _ in std::io::stdin().lock().lines().map_while(Result::ok) {
        let (allocations, bytes) = counter::counted();
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{allocations} {bytes}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
