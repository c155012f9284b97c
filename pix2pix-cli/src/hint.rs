//! What may help, for errors of the core: it knows no option, and here they have names.

use pix2pix_core::{
    device::{DeviceError, DeviceKind},
    geo::GeoError,
    networks::NetworkError,
    pairs::PairsError,
    region::RegionError,
    tiles::TileError,
    train::TrainError,
    translate::TranslateError,
};

/// A hint for the first cause that has one.
pub fn for_error(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let train = cause.downcast_ref::<TrainError>().and_then(for_train);
        let pairs = || cause.downcast_ref::<PairsError>().and_then(for_pairs);
        let device = || cause.downcast_ref::<DeviceError>().and_then(for_device);
        let network = || cause.downcast_ref::<NetworkError>().and_then(for_network);
        let full = || cause.downcast_ref::<std::io::Error>().and_then(for_io);
        let translate = || cause.downcast_ref::<TranslateError>().and_then(for_translate);
        let region = || cause.downcast_ref::<RegionError>().and_then(for_region);
        let tile = || cause.downcast_ref::<TileError>().and_then(for_tile);
        let geo = || cause.downcast_ref::<GeoError>().and_then(for_geo);
        train
            .or_else(translate)
            .or_else(region)
            .or_else(tile)
            .or_else(geo)
            .or_else(pairs)
            .or_else(device)
            .or_else(network)
            .or_else(full)
    })
}

fn for_train(error: &TrainError) -> Option<String> {
    let hint = match error {
        TrainError::RunExists { path } => {
            format!("go on with it: p2p train --resume {}; or give the new run another --name", path.display())
        }
        TrainError::InUse { .. } => "wait for it to end, or give this run another --name".into(),
        TrainError::NothingToResume { .. } => "--resume takes the name or the folder of a run".into(),
        TrainError::NotFinite { .. } => {
            "go on from the last checkpoint with a smaller --learning-rate, or with --objective lsgan; \
             p2p check looks for broken pictures"
                .into()
        }
        TrainError::PairsChanged { .. } => {
            "put the data set back as it was, or begin a new run on the changed one".into()
        }
        TrainError::NoTrainingPairs { .. } => "train on a folder with a train split".into(),
        TrainError::Pairs(error) => return for_pairs(error),
        TrainError::Network(error) => return for_network(error),
        _ => return None,
    };
    Some(hint)
}

fn for_translate(error: &TranslateError) -> Option<String> {
    match error {
        TranslateError::PaperInWindows { .. } => {
            Some("use --test-mode image or running, or a larger --max-window".into())
        }
        TranslateError::SmallWindow { .. } => Some("give a larger --max-window, or none".into()),
        _ => None,
    }
}

fn for_region(error: &RegionError) -> Option<String> {
    let hint = match error {
        RegionError::Fingerprint { .. } => "--fresh throws away what was made before; or give another -o or --work",
        RegionError::NoPlace { .. } => "put a world file beside it, and name its coordinate system with --src-crs",
        RegionError::NoSystem { .. } => "name it with --src-crs, for example --src-crs EPSG:3857",
        RegionError::Incomplete { .. } => "run the shards that are missing: p2p tiles run WORK --shard I/N",
        RegionError::InUse { .. } => "wait for it to end, or give another --work",
        RegionError::Geo(error) => return for_geo(error),
        RegionError::Tile(error) => return for_tile(error),
        RegionError::Translate(error) => return for_translate(error),
        _ => return None,
    };
    Some(hint.into())
}

fn for_tile(error: &TileError) -> Option<String> {
    match error {
        TileError::NoTiles { .. } => Some("GeoTIFF files are given one by one, folders are for tiles".into()),
        _ => None,
    }
}

fn for_geo(error: &GeoError) -> Option<String> {
    match error {
        GeoError::Bands { .. } => Some("say which bands the model's channels are, for example --bands 1,2,3".into()),
        _ => None,
    }
}

fn for_pairs(error: &PairsError) -> Option<String> {
    let hint = match error {
        PairsError::NoPairs { .. } | PairsError::Layout { .. } => {
            "datasets/README.md shows the layouts; --layout names one"
        }
        PairsError::BadFiles { .. } => "--skip-bad trains without them",
        PairsError::Options { reason } if reason.contains("number of labels is not given") => {
            "give it with --labels N, for example --labels 35 for Cityscapes"
        }
        PairsError::LabelRange { .. } => "give a larger --labels N",
        PairsError::SmallerThanCrop { .. } => "choose a smaller --size, or leave --no-resize out",
        _ => return None,
    };
    Some(hint.into())
}

fn for_device(error: &DeviceError) -> Option<String> {
    match error {
        DeviceError::NotCompiledIn { kind } => Some(format!(
            "build with it: cargo build --release --features {}; p2p devices lists what is there",
            kind.name()
        )),
        DeviceError::NotPresent { name, .. } if name.kind == DeviceKind::Cuda => {
            Some("install the NVIDIA driver, or leave --device out to use the CPU".into())
        }
        DeviceError::NotPresent { .. } | DeviceError::Unknown { .. } => {
            Some("p2p devices lists what is there; leave --device out to use the CPU".into())
        }
        _ => None,
    }
}

fn for_network(error: &NetworkError) -> Option<String> {
    match error {
        NetworkError::Size { multiple, .. } => {
            Some(format!("choose a --size whose sides are multiples of {multiple}, or a smaller --depth (at least 5)"))
        }
        NetworkError::TooSmall { .. } => Some("choose a larger --size or a smaller --num-layers".into()),
        NetworkError::NumLayers { .. } => Some("--num-layers takes 1 to 6".into()),
        _ => None,
    }
}

fn for_io(error: &std::io::Error) -> Option<String> {
    match error.kind() {
        std::io::ErrorKind::StorageFull => {
            Some("make room on the disk; what was saved before is whole, and p2p train --resume goes on from it".into())
        }
        std::io::ErrorKind::PermissionDenied => Some("choose a folder that can be written to".into()),
        _ => None,
    }
}
