//! `p2p`: trains on aligned pairs of pictures and translates pictures. Layers: arguments, configuration, commands, printing.

mod allocator;
mod args;
mod commands;
mod config;
mod hint;
mod imagery;
mod model;
mod page;
mod printer;
mod progress;
mod serve;
mod windows;

use std::process::ExitCode;

use clap::Parser;
use pix2pix_core::kernels::Simd;

use crate::{
    args::{Cli, Command, SimdArg},
    printer::Printer,
};

fn limit(simd: SimdArg) {
    match simd {
        SimdArg::Portable => Simd::Portable,
        #[cfg(target_arch = "aarch64")]
        SimdArg::Neon => Simd::Wide,
        #[cfg(not(target_arch = "aarch64"))]
        SimdArg::Avx2 => Simd::Wide,
        #[cfg(not(target_arch = "aarch64"))]
        SimdArg::Avx512 => Simd::Widest,
    }
    .limit();
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(cli.quiet);
    if let Some(simd) = cli.simd {
        limit(simd);
    }
    let result = match cli.command {
        Command::Train(args) => commands::train::run(*args, &printer),
        Command::Translate(args) => commands::translate::run(&args, &printer),
        Command::Tiles(args) => commands::tiles::run(*args, &printer),
        Command::Digitize(args) => commands::digitize::run(&args, &printer),
        Command::Serve(args) => commands::serve::run(&args, &printer),
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
