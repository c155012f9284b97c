//! What users write: commands and options. Nothing here does anything.

use std::{net::IpAddr, num::NonZero, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use pix2pix_core::{
    device::DeviceName,
    kernels::Precision,
    pairs::{Direction, Layout, Split},
    translate::TestMode,
};

/// Paired image translation: train on aligned pairs of pictures, translate pictures.
#[derive(Debug, Parser)]
#[command(name = "p2p", version, max_term_width = 100)]
pub struct Cli {
    /// Say nothing but results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Use at most these vector instructions of the processor
    #[arg(long, value_enum, global = true, value_name = "SET", env = "P2P_SIMD", hide_env_values = true)]
    pub simd: Option<SimdArg>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a generator on aligned pairs
    Train(Box<TrainArgs>),
    /// Translate pictures with a trained model
    Translate(TranslateArgs),
    /// Translate georeferenced pictures or tiles to map tiles
    Tiles(Box<TilesArgs>),
    /// Make polygons of a map picture, as GeoJSON
    Digitize(DigitizeArgs),
    /// Show exported tiles in a browser
    Serve(ServeArgs),
    /// Score a trained model on pairs
    Evaluate(EvaluateArgs),
    /// Look a data set over before training on it
    Check(CheckArgs),
    /// Generate aligned pairs: a town from above, or a street
    Synth(SynthArgs),
    /// Generate pairs, train, translate unseen pictures and leave a report, in a few minutes
    Demo(DemoArgs),
    /// List public paired data sets
    Datasets(DatasetsArgs),
    /// List the devices of this build and this machine
    Devices,
    /// Measure parts of this toolkit
    Bench(BenchArgs),
}

/// A picture size, `256` or `512x256`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

fn parse_size(text: &str) -> Result<Size, String> {
    let side = |text: &str| text.parse::<usize>().ok().filter(|&side| side > 0);
    let size = match text.split_once('x') {
        Some((width, height)) => side(width).zip(side(height)),
        None => side(text).map(|side| (side, side)),
    };
    size.map(|(width, height)| Size { width, height }).ok_or_else(|| "a size is written 256 or 512x256".into())
}

fn parse_direction(text: &str) -> Result<Direction, String> {
    match text.to_ascii_lowercase().as_str() {
        "atob" => Ok(Direction::AtoB),
        "btoa" => Ok(Direction::BtoA),
        _ => Err("a direction is AtoB or BtoA".into()),
    }
}

fn parse_layout(text: &str) -> Result<Layout, String> {
    let known = || Layout::ALL.map(Layout::name).join(", ");
    Layout::ALL.into_iter().find(|layout| layout.name() == text).ok_or_else(|| format!("known layouts: {}", known()))
}

fn parse_color(text: &str) -> Result<[u8; 3], String> {
    let parts = text.split(',').map(|part| part.trim().parse::<u8>()).collect::<Result<Vec<_>, _>>();
    let color = parts.ok().and_then(|parts| <[u8; 3]>::try_from(parts).ok());
    color.ok_or_else(|| "a colour is written red,green,blue with values from 0 to 255".into())
}

/// Which files make pairs.
#[derive(Args, Clone, Debug)]
pub struct PairsArgs {
    /// Folder of the data set
    #[arg(long, value_name = "DIR")]
    pub pairs: PathBuf,
    /// How its files are laid out: side-by-side, two-folders, pix2pix-hd or cityscapes [default: found out]
    #[arg(long, value_name = "LAYOUT", value_parser = parse_layout)]
    pub layout: Option<Layout>,
    /// Which half is the source: AtoB or BtoA [default: AtoB]
    #[arg(long, value_name = "DIRECTION", value_parser = parse_direction)]
    pub direction: Option<Direction>,
    /// The source holds label ids 0 to N-1 instead of a picture
    #[arg(long, value_name = "N")]
    pub labels: Option<usize>,
    /// Add the edges of instances to a source of label ids
    #[arg(long)]
    pub instance_edges: bool,
    /// Channels of the source, 1 or 3 [default: those of the data]
    #[arg(long, value_name = "N")]
    pub source_channels: Option<usize>,
    /// Channels of the target, 1 or 3 [default: those of the data]
    #[arg(long, value_name = "N")]
    pub target_channels: Option<usize>,
    /// Colour under transparent pixels [default: 255,255,255]
    #[arg(long, value_name = "R,G,B", value_parser = parse_color)]
    pub alpha_background: Option<[u8; 3]>,
    /// Part of the training pairs that is held out where no folder holds validation pairs [default: 0.05]
    #[arg(long, value_name = "FRACTION")]
    pub val_fraction: Option<f64>,
}

#[derive(Args, Debug)]
pub struct TrainArgs {
    /// Folder of the data set
    #[arg(long, value_name = "DIR", required_unless_present_any = ["resume", "config"])]
    pub pairs: Option<PathBuf>,
    /// How its files are laid out: side-by-side, two-folders, pix2pix-hd or cityscapes [default: found out]
    #[arg(long, value_name = "LAYOUT", value_parser = parse_layout)]
    pub layout: Option<Layout>,
    /// Which half is the source: AtoB or BtoA [default: AtoB]
    #[arg(long, value_name = "DIRECTION", value_parser = parse_direction)]
    pub direction: Option<Direction>,
    /// The source holds label ids 0 to N-1 instead of a picture
    #[arg(long, value_name = "N")]
    pub labels: Option<usize>,
    /// Add the edges of instances to a source of label ids
    #[arg(long)]
    pub instance_edges: bool,
    /// Channels of the source, 1 or 3 [default: those of the data]
    #[arg(long, value_name = "N")]
    pub source_channels: Option<usize>,
    /// Channels of the target, 1 or 3 [default: those of the data]
    #[arg(long, value_name = "N")]
    pub target_channels: Option<usize>,
    /// Colour under transparent pixels [default: 255,255,255]
    #[arg(long, value_name = "R,G,B", value_parser = parse_color)]
    pub alpha_background: Option<[u8; 3]>,
    /// Part of the training pairs that is held out where no folder holds validation pairs [default: 0.05]
    #[arg(long, value_name = "FRACTION")]
    pub val_fraction: Option<f64>,
    /// Leave out pairs that cannot be read instead of refusing to train
    #[arg(long)]
    pub skip_bad: bool,

    /// Size of training pictures, 256 or 512x256; sides are multiples of 32 [default: 256]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Augmentation")]
    pub size: Option<Size>,
    /// Size after resizing over the size of the crop [default: 1.1171875, which is 286/256]
    #[arg(long, value_name = "FACTOR", help_heading = "Augmentation")]
    pub load_scale: Option<f64>,
    /// Cut crops from full size instead of resizing
    #[arg(long, help_heading = "Augmentation")]
    pub no_resize: bool,
    /// Never exchange left and right
    #[arg(long, help_heading = "Augmentation")]
    pub no_flip: bool,
    /// Exchange top and bottom half of the time, for pictures from above
    #[arg(long, help_heading = "Augmentation")]
    pub vertical_flip: bool,
    /// Turn by random quarter turns, for pictures from above
    #[arg(long, help_heading = "Augmentation")]
    pub quarter_turns: bool,
    /// Scale brightness, contrast and saturation of the source by up to this much, 0 to below 1
    #[arg(long, value_name = "STRENGTH", help_heading = "Augmentation")]
    pub source_jitter: Option<f64>,

    /// Channels after the first convolution of both networks [default: 64]
    #[arg(long, value_name = "N", help_heading = "Networks")]
    pub width: Option<usize>,
    /// Downsamplings of the U-Net, at least 5 [default: as many as the size allows, at most 10]
    #[arg(long, value_name = "N", help_heading = "Networks")]
    pub depth: Option<usize>,
    /// Normalisation of both networks [default: batch]
    #[arg(long, value_name = "NORM", help_heading = "Networks")]
    pub norm: Option<Norm>,
    /// How the decoder doubles the size [default: transposed]
    #[arg(long, value_name = "WAY", help_heading = "Networks")]
    pub upsampling: Option<UpsamplingArg>,
    /// No dropout in the generator
    #[arg(long, help_heading = "Networks")]
    pub no_dropout: bool,
    /// Downsamplings of the patch discriminator, 1 to 6 [default: 3, patches of 70 pixels]
    #[arg(long, value_name = "N", help_heading = "Networks")]
    pub num_layers: Option<usize>,
    /// A discriminator of single pixels instead of patches
    #[arg(long, help_heading = "Networks")]
    pub pixel_discriminator: bool,

    /// Adversarial loss [default: vanilla]
    #[arg(long, value_name = "LOSS", help_heading = "Objective")]
    pub objective: Option<AdversarialArg>,
    /// Reconstruction loss [default: l1]
    #[arg(long, value_name = "LOSS", help_heading = "Objective")]
    pub reconstruction: Option<ReconstructionArg>,
    /// Weight of the reconstruction loss [default: 100]
    #[arg(long, value_name = "WEIGHT", help_heading = "Objective")]
    pub reconstruction_weight: Option<f64>,

    /// Epochs at the initial learning rate [default: 100]
    #[arg(long, value_name = "N", help_heading = "Length", conflicts_with = "steps")]
    pub epochs: Option<u64>,
    /// Epochs after them, over which the learning rate falls to zero [default: 100]
    #[arg(long, value_name = "N", help_heading = "Length", conflicts_with = "steps")]
    pub decay_epochs: Option<u64>,
    /// Length in steps instead of epochs; the learning rate falls over the second half
    #[arg(long, value_name = "N", help_heading = "Length")]
    pub steps: Option<u64>,
    /// How the learning rate goes [default: linear]
    #[arg(long, value_name = "POLICY", help_heading = "Length")]
    pub schedule: Option<PolicyArg>,
    /// Initial learning rate [default: 0.0002]
    #[arg(long, value_name = "RATE", help_heading = "Length")]
    pub learning_rate: Option<f64>,

    /// Pairs of a batch [default: 1]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub batch_size: Option<usize>,
    /// Number of earlier fakes that the discriminator may see again [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub pool_size: Option<usize>,
    /// In what convolutions multiply: f32, or bf16 where that is faster [default: f32]
    #[arg(long, value_name = "PRECISION", help_heading = "Training")]
    pub precision: Option<PrecisionArg>,
    /// Seed of everything random [default: 0]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub seed: Option<u64>,
    /// Threads that load pairs [default: one per core]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub threads: Option<usize>,
    /// Keep decoded pairs in this much memory, in MiB [default: 0]
    #[arg(long, value_name = "MIB", help_heading = "Training")]
    pub cache_mib: Option<usize>,
    /// Device: flex, ndarray, cuda, vulkan, metal or wgpu, with :N for one of several
    #[arg(long, value_name = "DEVICE", default_value = "flex", help_heading = "Training")]
    pub device: DeviceName,
    /// Save the state of training at least every so many steps [default: 500]
    #[arg(long, value_name = "N", help_heading = "Training")]
    pub save_every: Option<u64>,

    /// Folder that holds runs
    #[arg(long, value_name = "DIR", default_value = "runs", help_heading = "Run")]
    pub runs: PathBuf,
    /// Name of the run [default: made from data set and direction]
    #[arg(long, value_name = "NAME", help_heading = "Run")]
    pub name: Option<String>,
    /// Go on with a run: its name or folder
    #[arg(long, value_name = "RUN", help_heading = "Run", conflicts_with_all = ["name", "config"])]
    pub resume: Option<PathBuf>,
    /// Configuration file; options given here come before it
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub config: Option<PathBuf>,
    /// Set one key of the configuration, for example schedule.policy=cosine
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Run")]
    pub settings: Vec<String>,
}

/// Which model, and how it is used.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// Model: a run's folder or name, or a checkpoint file [default: runs/latest]
    #[arg(long, value_name = "MODEL", env = "P2P_MODEL")]
    pub model: Option<PathBuf>,
    /// Checkpoint of a run: latest, best or epoch-N
    #[arg(long, value_name = "NAME", default_value = "latest")]
    pub checkpoint: String,
    /// Statistics of the picture (image), of training (running), or of the picture with dropout as in the paper (paper)
    #[arg(long, value_name = "MODE", default_value = "image")]
    pub test_mode: TestModeArg,
    /// Seed of dropout in the paper's mode
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// In what convolutions multiply: f32, or bf16 where that is faster
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    pub precision: PrecisionArg,
    /// Device: flex, ndarray, cuda, vulkan, metal or wgpu, with :N for one of several
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub device: DeviceName,
}

#[derive(Args, Debug)]
pub struct TranslateArgs {
    /// Pictures, folders of pictures, or - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    /// File, or folder for several pictures, or - for standard output
    #[arg(long, short, value_name = "OUTPUT")]
    pub output: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Resize pictures to this size first, as the published protocol does
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub resize: Option<Size>,
    /// Write source and translation beside each other
    #[arg(long)]
    pub side_by_side: bool,
    /// File or folder of targets of the same stems, shown third with --side-by-side
    #[arg(long, value_name = "PATH", requires = "side_by_side")]
    pub target: Option<PathBuf>,
    /// File or folder of instance ids of the same stems, for models that draw their edges
    #[arg(long, value_name = "PATH")]
    pub instances: Option<PathBuf>,
    #[command(flatten)]
    pub windows: WindowArgs,
    #[command(flatten)]
    pub geo: GeoArgs,
    /// Memory for transformed weights that are kept from picture to picture where there are many, in MiB; on the CPU
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub weight_cache: usize,
    /// Pictures translated at a time; on the CPU small ones go side by side by default, one on each core
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZero<usize>>,
    /// Format of pictures in an output folder
    #[arg(long, value_name = "FORMAT", default_value = "png")]
    pub format: String,
}

/// How pictures that are larger than memory allows at once are translated.
#[derive(Args, Debug)]
pub struct WindowArgs {
    /// Longest side of a picture that is translated as a whole, and of the windows of larger ones [default: by free memory]
    #[arg(long, value_name = "PX")]
    pub max_window: Option<NonZero<usize>>,
    /// How windows are made to agree: exact takes a pass for each norm
    #[arg(long, value_enum, value_name = "HOW", default_value_t = SeamsArg::Good)]
    pub seams: SeamsArg,
    /// Print how visible the borders of windows are: 1 means not at all
    #[arg(long)]
    pub report_seams: bool,
}

/// Georeferenced pictures.
#[derive(Args, Debug)]
pub struct GeoArgs {
    /// Bands of a GeoTIFF in the order of the model's channels, from 1 [default: the first ones]
    #[arg(long, value_name = "R,G,B", value_delimiter = ',')]
    pub bands: Option<Vec<usize>>,
    /// Coordinate system of pictures that do not say theirs, for example EPSG:3857
    #[arg(long, value_name = "EPSG:N", value_parser = parse_epsg)]
    pub src_crs: Option<u16>,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct TilesArgs {
    #[command(subcommand)]
    pub step: Option<TilesCommand>,
    #[command(flatten)]
    pub region: RegionArgs,
    /// Folder for z/x/y tiles, or a file that ends in .mbtiles or .pmtiles
    #[arg(long, short, value_name = "OUT", required = true)]
    pub output: Option<PathBuf>,
    /// Also write the tiles of the inputs as they are, to compare with
    #[arg(long, value_name = "OUT")]
    pub source_tiles: Option<PathBuf>,
    #[command(flatten)]
    pub export: ExportArgs,
    /// Folder of the unfinished work, with which a run that was stopped goes on [default: OUT.work]
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
    /// Keep the folder of the work when all is done
    #[arg(long)]
    pub keep_work: bool,
    /// Throw away unfinished work and an export of something else
    #[arg(long)]
    pub fresh: bool,
    /// How progress is told on stderr: a bar, or lines of JSON
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressArg::Bar)]
    pub progress: ProgressArg,
}

/// The steps of `p2p tiles`, for many machines.
#[derive(Debug, Subcommand)]
pub enum TilesCommand {
    /// Write down what there is to do
    Plan(Box<TilesPlanArgs>),
    /// Do some of it
    Run(TilesRunArgs),
    /// Put what was done together
    Merge(TilesMergeArgs),
}

#[derive(Args, Debug)]
pub struct TilesPlanArgs {
    #[command(flatten)]
    pub region: RegionArgs,
    /// Folder of the work, which all machines see
    #[arg(long, value_name = "DIR")]
    pub work: PathBuf,
    /// Throw away work that stands there
    #[arg(long)]
    pub fresh: bool,
    /// How progress is told on stderr: a bar, or lines of JSON
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressArg::Bar)]
    pub progress: ProgressArg,
}

#[derive(Args, Debug)]
pub struct TilesRunArgs {
    /// Folder of the work
    #[arg(value_name = "DIR")]
    pub work: PathBuf,
    /// Which part: I/N counted from 0, or auto as the job array says (auto/N where it does not say how many)
    #[arg(long, value_name = "I/N", default_value = "0/1", value_parser = parse_shard)]
    pub shard: ShardArg,
    /// The plan's model, where it stands elsewhere on this machine
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Device: flex, ndarray, cuda, vulkan, metal or wgpu, with :N for one of several
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub device: DeviceName,
    /// How progress is told on stderr: a bar, or lines of JSON
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ProgressArg::Bar)]
    pub progress: ProgressArg,
}

#[derive(Args, Debug)]
pub struct TilesMergeArgs {
    /// Folder of the work
    #[arg(value_name = "DIR")]
    pub work: PathBuf,
    /// Folder for z/x/y tiles, or a file that ends in .mbtiles or .pmtiles
    #[arg(long, short, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    pub export: ExportArgs,
    /// Replace an export of something else
    #[arg(long)]
    pub fresh: bool,
}

#[derive(Args, Debug)]
pub struct DigitizeArgs {
    /// Map picture: a GeoTIFF, or a picture with a world file
    #[arg(value_name = "MAP")]
    pub map: PathBuf,
    /// GeoJSON file to be made
    #[arg(long, short, value_name = "OUTPUT")]
    pub output: PathBuf,
    /// Classes and their colours: a TOML file, or town or maps for those that come with p2p
    #[arg(long, value_name = "PALETTE", default_value = "town")]
    pub classes: String,
    /// Coordinate system of pictures that do not say theirs, for example EPSG:3857
    #[arg(long, value_name = "EPSG:N", value_parser = parse_epsg)]
    pub src_crs: Option<u16>,
    /// Each pixel gets the class that most have that are at most so many pixels away
    #[arg(long, value_name = "PX", default_value_t = 2)]
    pub mode_radius: usize,
    /// Regions of fewer pixels go to their neighbours, where the palette says nothing else
    #[arg(long, value_name = "PIXELS", default_value_t = 64)]
    pub min_area: u32,
    /// How far borders may be moved to have fewer corners, in pixels
    #[arg(long, value_name = "PX", default_value_t = 1.5)]
    pub tolerance: f64,
    /// Put all polygons of a class into one feature
    #[arg(long)]
    pub merge_classes: bool,
}

#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Folder of tiles, or an .mbtiles or .pmtiles archive
    #[arg(value_name = "OUT")]
    pub tiles: PathBuf,
    /// Tiles of the source, to compare with
    #[arg(long, value_name = "TILES")]
    pub compare: Option<PathBuf>,
    /// Polygons to show, a GeoJSON file
    #[arg(long, value_name = "FILE")]
    pub vector: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Translate pictures that are dropped on the page
    #[arg(long)]
    pub translate: bool,
    /// Largest picture that is taken, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 32)]
    pub max_mib: u64,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub windows: WindowArgs,
}

/// Which part of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardArg {
    Given { index: usize, count: usize },
    Auto { count: Option<usize> },
}

fn parse_shard(text: &str) -> Result<ShardArg, String> {
    let usual = || format!("a shard is I/N with I below N, auto or auto/N, found {text:?}");
    let count = |text: &str| text.parse::<usize>().ok().filter(|&count| count > 0).ok_or_else(usual);
    match text.split_once('/') {
        None if text == "auto" => Ok(ShardArg::Auto { count: None }),
        Some(("auto", number)) => Ok(ShardArg::Auto { count: Some(count(number)?) }),
        Some((index, number)) => {
            let (index, count) = (index.parse().map_err(|_| usual())?, count(number)?);
            if index < count { Ok(ShardArg::Given { index, count }) } else { Err(usual()) }
        }
        None => Err(usual()),
    }
}

/// What becomes tiles, and how.
#[derive(Args, Debug)]
pub struct RegionArgs {
    /// Georeferenced pictures, folders of z/x/y or x-y-z tiles, .mbtiles or .pmtiles; later ones lie on top
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub geo: GeoArgs,
    /// Zooms, for example 10..16 [default: from what fits into a tile to what comes nearest to the inputs' pixels]
    #[arg(long, value_name = "A..B", value_parser = parse_zooms)]
    pub zoom: Option<(u8, u8)>,
    /// Side of a tile in pixels, 256 or 512
    #[arg(long, value_name = "PX", default_value_t = 256)]
    pub tile_size: usize,
    /// Format of tiles; png has a palette where few colours do, webp is lossless
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TileFormatArg::Png)]
    pub format: TileFormatArg,
    /// Quality of JPEG tiles, 1 to 100
    #[arg(long, value_name = "N", default_value_t = 85)]
    pub quality: u8,
    /// How blocks are made to agree: exact takes statistics from all windows and all the context that the network reaches
    #[arg(long, value_enum, value_name = "HOW", default_value_t = TileSeamsArg::Good)]
    pub seams: TileSeamsArg,
    /// Longest side of a window, in pixels
    #[arg(long, value_name = "PX", default_value_t = 1024)]
    pub max_window: usize,
    /// Side of a block in pixels, a power of two: what is done again at most when a run is killed
    #[arg(long, value_name = "PX", default_value_t = 4096)]
    pub block_size: usize,
}

/// What an export says of itself.
#[derive(Args, Debug)]
pub struct ExportArgs {
    /// Name of the map [default: that of OUT]
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Whose pictures these are, as the page shows it
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub attribution: String,
    /// Count rows of tiles in a folder from south
    #[arg(long)]
    pub tms: bool,
}

fn parse_zooms(text: &str) -> Result<(u8, u8), String> {
    let usual = || format!("zooms are A..B or one number, found {text:?}");
    let number = |text: &str| text.trim().parse::<u8>().map_err(|_| usual());
    match text.split_once("..") {
        Some((least, most)) => Ok((number(least)?, number(most.trim_start_matches('='))?)),
        None => number(text).map(|zoom| (zoom, zoom)),
    }
}

fn parse_epsg(text: &str) -> Result<u16, String> {
    let number = text.strip_prefix("EPSG:").or_else(|| text.strip_prefix("epsg:")).unwrap_or(text);
    number.parse().map_err(|_| format!("a coordinate system is EPSG:N, found {text:?}"))
}

#[derive(Args, Debug)]
pub struct EvaluateArgs {
    #[command(flatten)]
    pub pairs: PairsArgs,
    #[command(flatten)]
    pub model: ModelArgs,
    /// Score only this split [default: all pairs]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<SplitArg>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub pairs: PairsArgs,
    /// Where the contact sheet goes; none is written with --no-contact-sheet
    #[arg(long, value_name = "FILE", default_value = "contact-sheet.png")]
    pub contact_sheet: PathBuf,
    /// Write no contact sheet
    #[arg(long)]
    pub no_contact_sheet: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct SynthArgs {
    /// What is generated
    #[arg(long, value_name = "SCENE", default_value = "town")]
    pub scene: SceneArg,
    /// Number of pairs
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub count: usize,
    /// Size of a picture, 256 or 512x256
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "256")]
    pub size: Size,
    /// Seed of the world
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Folder to be made
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Folder for everything that the demo makes
    #[arg(long, value_name = "DIR", default_value = "runs/demo")]
    pub out: PathBuf,
    /// Length of training
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    /// Size of pictures
    #[arg(long, value_name = "SIZE", default_value_t = 128)]
    pub size: usize,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Device: flex, ndarray, cuda, vulkan, metal or wgpu, with :N for one of several
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub device: DeviceName,
}

#[derive(Args, Debug)]
pub struct DatasetsArgs {
    /// Only those whose name or task holds this text
    #[arg(value_name = "TEXT")]
    pub filter: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub what: Option<BenchCommand>,
    /// Size of pictures
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "256")]
    pub size: Size,
    /// Channels after the first convolution, of both networks
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub width: usize,
    /// Pictures in a batch
    #[arg(long, value_name = "N", default_value_t = NonZero::<usize>::MIN)]
    pub batch: NonZero<usize>,
    /// Threads; all processors by default
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// In what convolutions multiply: f32, or bf16 where that is faster
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    pub precision: PrecisionArg,
    /// Keep transformed weights for the forward pass in this much memory, in MiB, as for folders of pictures
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    pub weight_cache: usize,
    /// Steps and forward passes that are counted, after two that are not
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub count: usize,
    /// Device to compute on
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub device: DeviceName,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Whether a device computes what the CPU computes: outputs of both networks and one training step
    Check {
        /// Device: flex, ndarray, cuda, vulkan, metal or wgpu, with :N for one of several
        #[arg(long, value_name = "DEVICE")]
        device: DeviceName,
        /// Size of pictures
        #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "256")]
        size: Size,
        /// Channels after the first convolution, of both networks
        #[arg(long, value_name = "N", default_value_t = 64)]
        width: usize,
    },
    /// Pairs per second of the loader
    Loader {
        /// Folder of the data set
        #[arg(long, value_name = "DIR")]
        pairs: PathBuf,
        /// Size of training pictures
        #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "256")]
        size: Size,
        /// Threads that load
        #[arg(long, value_name = "N", default_value_t = 2)]
        threads: usize,
        /// Keep decoded pairs in this much memory, in MiB
        #[arg(long, value_name = "MIB", default_value_t = 0)]
        cache_mib: usize,
        /// Number of passes over the data
        #[arg(long, value_name = "N", default_value_t = 1)]
        repeat: u64,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

macro_rules! choices {
    ($($name:ident { $($variant:ident),+ })+) => {$(
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub enum $name { $($variant),+ }
    )+};
}

choices! {
    PrecisionArg { F32, Bf16 }
    SeamsArg { Fast, Good, Exact }
    TileSeamsArg { Good, Exact }
    TileFormatArg { Png, Jpeg, Webp }
    ProgressArg { Bar, Json }
    Norm { Batch, Instance, None }
    UpsamplingArg { Transposed, ResizeConv }
    AdversarialArg { Vanilla, Lsgan, Hinge }
    ReconstructionArg { L1, L2, Charbonnier }
    PolicyArg { Linear, Cosine, Step, Constant }
    SceneArg { Town, Street }
    SplitArg { Train, Val, Test }
    TestModeArg { Image, Running, Paper }
}

/// Vector instructions of this kind of processor, fewest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SimdArg {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(not(target_arch = "aarch64"))]
    Avx2,
    #[cfg(not(target_arch = "aarch64"))]
    Avx512,
}

/// The name of a choice, as options and configuration files have it.
pub fn key(choice: impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::Bf16 => Self::Bf16,
        }
    }
}

impl From<TestModeArg> for TestMode {
    fn from(mode: TestModeArg) -> Self {
        match mode {
            TestModeArg::Image => Self::Image,
            TestModeArg::Running => Self::Running,
            TestModeArg::Paper => Self::Paper,
        }
    }
}

impl From<SplitArg> for Split {
    fn from(split: SplitArg) -> Self {
        match split {
            SplitArg::Train => Self::Train,
            SplitArg::Val => Self::Val,
            SplitArg::Test => Self::Test,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_are_read_square_and_oblong() {
        assert_eq!(parse_size("256"), Ok(Size { width: 256, height: 256 }));
        assert_eq!(parse_size("512x256"), Ok(Size { width: 512, height: 256 }));
        assert!(parse_size("0").is_err() && parse_size("axb").is_err() && parse_size("").is_err());
    }
}
