//! The program `pcsd`, also installed as `pcsctl`.

use pcsd::runtime::cli::{self, Command};
use pcsd::runtime::{control, daemon, letters, maintenance, selftest};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => {
            let _ = write!(io::stderr(), "{error}\n\n{}", error.program.usage());
            return ExitCode::from(2);
        }
    };
    match obey(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever reads our output has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether it went well; what did not and was not printed yet is the error.
fn obey(command: Command) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match command {
        Command::Run { config } => {
            drop(out);
            daemon::run(&config)?;
        }
        Command::Check { file } => return daemon::check(&file, &mut out),
        Command::Pin { config } => daemon::pin(&config, &mut out)?,
        Command::Version => writeln!(out, "pcsd {}", env!("CARGO_PKG_VERSION"))?,
        Command::Footprint => daemon::footprint(&mut out)?,
        Command::Selftest { without } => return Ok(selftest::run(without.as_deref())),
        Command::Help(program) => out.write_all(program.usage().as_bytes())?,
        Command::Backup { socket, file } => maintenance::backup(&socket, &file, &mut out)?,
        Command::Restore { socket, file } => maintenance::restore(&socket, &file, &mut out)?,
        Command::ShowLetter { socket, person, number } => letters::show(&socket, &person, number, &mut out)?,
        Command::SaveLetter { socket, person, number, file } => {
            letters::save(&socket, &person, number, &file, &mut out)?;
        }
        Command::SetGreeting { socket, person, file } => letters::set_greeting(&socket, &person, &file, &mut out)?,
        Command::SaveGreeting { socket, person, file } => letters::save_greeting(&socket, &person, &file, &mut out)?,
        Command::CheckRunning { socket } => return maintenance::check_running(&socket, &mut out),
        Command::CheckSpool { directory } => return maintenance::check(&directory, &mut out),
        Command::InitSpool { directory } => maintenance::init(&directory, &mut out)?,
        Command::Ask { socket, request } => control::ask(&socket, &request, &mut out)?,
    }
    Ok(true)
}
