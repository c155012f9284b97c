//! `p2p`: trains on aligned pairs of pictures and translates pictures. Layers: arguments, configuration, commands, printing.

mod args;
mod commands;
mod config;
mod hint;
mod model;
mod printer;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Cli, Command},
    printer::Printer,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.quiet);
    let result = match cli.command {
        Command::Train(args) => commands::train::run(*args, &printer),
        Command::Translate(args) => commands::translate::run(&args, &printer),
        Command::Evaluate(args) => commands::evaluate::run(&args, &printer),
        Command::Check(args) => commands::check::run(&args, &printer),
        Command::Synth(args) => commands::synth::run(&args, &printer),
        Command::Demo(args) => commands::demo::run(&args, &printer),
        Command::Datasets(args) => commands::datasets::run(&args),
        Command::Devices => commands::devices::run(),
        Command::Bench(args) => commands::bench::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            printer.error(&error);
            ExitCode::FAILURE
        }
    }
}
