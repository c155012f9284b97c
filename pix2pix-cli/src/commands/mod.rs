//! One file per command: from arguments to the core and back to people.

pub mod bench;
pub mod check;
pub mod datasets;
pub mod demo;
pub mod devices;
pub mod digitize;
pub mod evaluate;
pub mod serve;
pub mod synth;
pub mod tiles;
pub mod train;
pub mod translate;

use pix2pix_core::pairs::PairsConfig;

use crate::args::PairsArgs;

/// The pairs that options name, nothing held out unless they say so.
fn pairs_config(args: &PairsArgs) -> PairsConfig {
    let defaults = PairsConfig::default();
    PairsConfig {
        layout: args.layout,
        direction: args.direction.unwrap_or(defaults.direction),
        val_fraction: args.val_fraction.unwrap_or(defaults.val_fraction),
        source_channels: args.source_channels,
        target_channels: args.target_channels,
        alpha_background: args.alpha_background.unwrap_or(defaults.alpha_background),
        labels: args.labels,
        instance_edges: args.instance_edges,
    }
}
