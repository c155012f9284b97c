//! Checkpoints: one safetensors file that describes itself, written beside its place and renamed over it.
//!
//! Tensors are named `generator.*`, `discriminator.*` and, when training can go on from them, `adam_generator.*`,
//! `adam_discriminator.*` and `pool.*`. The description travels as JSON in the file's metadata. Knows networks, not training:
//! what training adds to the description is opaque here.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use burn::tensor::{AllocationProperty, Bytes, DType, TensorData};
use memmap2::Mmap;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};

use crate::networks::{DiscriminatorConfig, Fetch, NetworkError, StateError, UnetConfig};

/// The format of the description; raised when an older reader would misunderstand it.
pub const FORMAT: u32 = 1;
/// Key of the description in the file's metadata.
const DESCRIPTION_KEY: &str = "p2p";
/// Bytes that hold the header's length.
const LENGTH_BYTES: u64 = 8;
/// Most bytes of a header.
const HEADER_LIMIT: u64 = 64 << 20;

/// What the network's input is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceKind {
    /// A picture with this many channels, values in [-1, 1].
    Picture {
        /// 1 (gray) or 3 (RGB).
        channels: usize,
    },
    /// A map of ids as one-hot planes, values 0 or 1.
    Labels {
        /// Number of labels.
        count: usize,
        /// Whether a plane of instance edges follows.
        instance_edges: bool,
    },
}

impl SourceKind {
    /// Number of planes that the network sees.
    pub const fn num_planes(&self) -> usize {
        match self {
            Self::Picture { channels } => *channels,
            Self::Labels { count, instance_edges } => *count + *instance_edges as usize,
        }
    }
}

/// How pictures were prepared in training, and so are in translation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// `AtoB` or `BtoA`, for the record.
    pub direction: String,
    /// What the network's input is made of.
    pub source: SourceKind,
    /// Channels of the output.
    pub target_channels: usize,
    /// Width of training pictures after the crop, in pixels.
    pub width: usize,
    /// Height of training pictures after the crop, in pixels.
    pub height: usize,
    /// The colour under transparent pixels, RGB.
    pub alpha_background: [u8; 3],
}

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// See [`FORMAT`].
    pub format: u32,
    /// Version of this toolkit that wrote the file.
    pub version: String,
    /// The generator.
    pub generator: UnetConfig,
    /// The discriminator, when the file holds one.
    pub discriminator: Option<DiscriminatorConfig>,
    /// How pictures were prepared.
    pub preprocessing: Preprocessing,
    /// Steps trained.
    pub step: u64,
    /// The seed of the run.
    pub seed: u64,
    /// The configuration of the training, opaque here.
    pub training: serde_json::Value,
    /// Where training stood, opaque here; absent when it cannot go on from this file.
    pub progress: Option<serde_json::Value>,
}

/// A checkpoint that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refused to read.
    #[error("cannot read checkpoint {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system refused to write; what stood under the name before still does.
    #[error("cannot write checkpoint {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a checkpoint, or damaged.
    #[error("{} is not a whole checkpoint: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Written by a newer version.
    #[error("{} has checkpoint format {found}, this version reads up to {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Its tensors do not fit the network that it describes.
    #[error("{} does not fit the network that it describes", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Which tensor.
        #[source]
        source: StateError,
    },
    /// It describes a network that cannot be built.
    #[error("{} describes a network that cannot be built", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: NetworkError,
    },
    /// A weight is not a finite number; nothing was written.
    #[error("tensor {name} holds values that are not finite")]
    NotFinite {
        /// Its path.
        name: String,
    },
}

/// A tensor to be written, fetched from its device only when its turn comes.
pub struct Entry {
    /// Name in the file.
    pub name: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Gives the values, 32-bit floats.
    pub fetch: Fetch,
}

/// Writes a checkpoint: a temporary file in the same folder, flushed to disk, then renamed.
///
/// # Errors
/// Values that are not finite, and whatever the system refuses. The file that stood there before stays whole.
pub fn write(path: &Path, description: &Description, entries: Vec<Entry>) -> Result<(), CheckpointError> {
    let temporary = path.with_extension("tmp");
    let written = write_to(&temporary, path, description, entries);
    if written.is_err() {
        // The error that counts is the first one; a leftover temporary file is overwritten next time.
        drop(fs::remove_file(&temporary));
    }
    written
}

fn write_to(
    temporary: &Path,
    path: &Path,
    description: &Description,
    entries: Vec<Entry>,
) -> Result<(), CheckpointError> {
    let refused = |source| CheckpointError::Write { path: path.to_owned(), source };
    let header = header(description, &entries).map_err(|reason| refused(std::io::Error::other(reason)))?;
    let mut file = BufWriter::with_capacity(1 << 20, File::create(temporary).map_err(refused)?);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(refused)?;
    file.write_all(&header).map_err(refused)?;
    for entry in entries {
        let data = (entry.fetch)().convert::<f32>();
        let finite = data.as_slice::<f32>().is_ok_and(|values| values.iter().all(|value| value.is_finite()));
        if !finite {
            return Err(CheckpointError::NotFinite { name: entry.name });
        }
        file.write_all(data.as_bytes()).map_err(refused)?;
    }
    let file = file.into_inner().map_err(|error| refused(error.into_error()))?;
    file.sync_all().map_err(refused)?;
    fs::rename(temporary, path).map_err(refused)
}

fn header(description: &Description, entries: &[Entry]) -> Result<Vec<u8>, String> {
    let json = serde_json::to_string(description).map_err(|error| error.to_string())?;
    let mut offset = 0;
    let tensors = entries
        .iter()
        .map(|entry| {
            let bytes = entry.shape.iter().product::<usize>() * size_of::<f32>();
            let data_offsets = (offset, offset + bytes);
            offset += bytes;
            (entry.name.clone(), TensorInfo { dtype: Dtype::F32, shape: entry.shape.clone(), data_offsets })
        })
        .collect();
    let metadata = HashMap::from([(DESCRIPTION_KEY.to_owned(), json)]);
    let metadata = Metadata::new(Some(metadata), tensors).map_err(|error| error.to_string())?;
    let mut header = serde_json::to_vec(&metadata).map_err(|error| error.to_string())?;
    // Tensors begin at a multiple of 8 bytes, as the format asks of writers.
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// An open checkpoint: the description is read, tensors are read when asked for.
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    data_start: u64,
    description: Description,
}

impl Checkpoint {
    /// Opens a checkpoint and reads its description.
    ///
    /// # Errors
    /// A file that cannot be read, is no checkpoint, is cut off, or comes from a newer version.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let refused = |source| CheckpointError::Read { path: path.to_owned(), source };
        let damaged = |reason: String| CheckpointError::Damaged { path: path.to_owned(), reason };
        let mut file = File::open(path).map_err(refused)?;
        let file_length = file.metadata().map_err(refused)?.len();
        if file_length < LENGTH_BYTES {
            return Err(damaged(format!("it has {file_length} bytes")));
        }
        let mut length = [0; LENGTH_BYTES as usize];
        file.read_exact(&mut length).map_err(refused)?;
        let header_length = u64::from_le_bytes(length);
        if header_length > HEADER_LIMIT || LENGTH_BYTES + header_length > file_length {
            return Err(damaged(format!("its header claims {header_length} of {file_length} bytes")));
        }
        let mut header = vec![0; header_length as usize];
        file.read_exact(&mut header).map_err(refused)?;
        let metadata = serde_json::from_slice::<Metadata>(&header).map_err(|error| damaged(error.to_string()))?;
        let data_start = LENGTH_BYTES + header_length;
        let expected = data_start + metadata.data_len() as u64;
        if expected != file_length {
            return Err(damaged(format!("it should have {expected} bytes, found {file_length}")));
        }
        let described = metadata.metadata().as_ref().and_then(|texts| texts.get(DESCRIPTION_KEY));
        let described = described.ok_or_else(|| damaged("it carries no description of a p2p model".to_owned()))?;
        #[derive(Deserialize)]
        struct OnlyFormat {
            format: u32,
        }
        let found = serde_json::from_str::<OnlyFormat>(described).map_err(|error| damaged(error.to_string()))?.format;
        if found > FORMAT {
            return Err(CheckpointError::Format { path: path.to_owned(), found });
        }
        let description = serde_json::from_str(described).map_err(|error| damaged(error.to_string()))?;
        Ok(Self { path: path.to_owned(), file, metadata, data_start, description })
    }

    /// What the file says of itself.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all tensors whose names begin with `group` and a dot, under their names without it.
    ///
    /// # Errors
    /// A file that cannot be read, or tensors that are not 32-bit floats.
    pub fn read_group(&mut self, group: &str) -> Result<BTreeMap<String, TensorData>, CheckpointError> {
        let mut tensors = BTreeMap::new();
        for (name, info) in self.group(group)? {
            let (start, end) = info.data_offsets;
            // Floats from the start: bytes would be copied once more.
            let mut values = vec![0.0_f32; (end - start) / size_of::<f32>()];
            let place = SeekFrom::Start(self.data_start + start as u64);
            let bytes = bytemuck::cast_slice_mut(&mut values);
            let read = self.file.seek(place).and_then(|_| self.file.read_exact(bytes));
            read.map_err(|source| CheckpointError::Read { path: self.path.clone(), source })?;
            for value in &mut values {
                *value = f32::from_bits(u32::from_le(value.to_bits()));
            }
            tensors.insert(name, TensorData::new(values, info.shape));
        }
        Ok(tensors)
    }

    /// The same for tensors that will only be read: they lie in the file, which the system brings into memory where they are used.
    /// The file may be replaced meanwhile, as [`write()`] does, but not written in place: who does that ends this process or changes
    /// its weights.
    ///
    /// # Errors
    /// As [`Self::read_group`].
    pub fn map_group(&mut self, group: &str) -> Result<BTreeMap<String, TensorData>, CheckpointError> {
        let wanted = self.group(group)?;
        let start_of = |info: &TensorInfo| self.data_start as usize + info.data_offsets.0;
        let lies_right = |info: &TensorInfo| start_of(info).is_multiple_of(align_of::<f32>());
        if cfg!(target_endian = "big") || !wanted.iter().all(|(_, info)| lies_right(info)) {
            return self.read_group(group);
        }
        #[expect(unsafe_code, reason = "no safe function can promise that a file stays as it is")]
        // SAFETY: checkpoints are written beside their place and renamed over it, never changed where they are.
        let mapped = unsafe { Mmap::map(&self.file) };
        let end = self.data_start as usize + self.metadata.data_len();
        let Some(mapped) = mapped.ok().filter(|mapped| mapped.len() >= end) else {
            // Not every file system maps, and a file that has shrunk is an error when it is read.
            return self.read_group(group);
        };
        let all = bytes::Bytes::from_owner(mapped);
        let tensor = |info: TensorInfo| {
            let (start, length) = (start_of(&info), info.data_offsets.1 - info.data_offsets.0);
            let bytes = Bytes::from_shared(all.slice(start..start + length), AllocationProperty::File);
            TensorData::from_bytes(bytes, info.shape, DType::F32)
        };
        Ok(wanted.into_iter().map(|(name, info)| (name, tensor(info))).collect())
    }

    /// The tensors of a group in the order of the file.
    fn group(&self, group: &str) -> Result<Vec<(String, TensorInfo)>, CheckpointError> {
        let of_group = |(name, info): (String, &TensorInfo)| {
            let rest = name.strip_prefix(group)?.strip_prefix('.')?;
            Some((rest.to_owned(), info.clone()))
        };
        let mut wanted = self.metadata.tensors().into_iter().filter_map(of_group).collect::<Vec<_>>();
        wanted.sort_by_key(|(_, info)| info.data_offsets);
        match wanted.iter().find(|(_, info)| info.dtype != Dtype::F32) {
            Some((name, info)) => {
                let reason = format!("tensor {group}.{name} should hold 32-bit floats, found {:?}", info.dtype);
                Err(CheckpointError::Damaged { path: self.path.clone(), reason })
            }
            None => Ok(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description {
            format: FORMAT,
            version: "0.0.0".into(),
            generator: UnetConfig::default(),
            discriminator: None,
            preprocessing: Preprocessing {
                direction: "AtoB".into(),
                source: SourceKind::Labels { count: 35, instance_edges: true },
                target_channels: 3,
                width: 256,
                height: 128,
                alpha_background: [255; 3],
            },
            step: 7,
            seed: 0,
            training: serde_json::json!({"a": 1}),
            progress: None,
        }
    }

    fn entry(name: &str, values: Vec<f32>) -> Entry {
        let shape = vec![values.len()];
        Entry { name: name.into(), shape: shape.clone(), fetch: Box::new(move || TensorData::new(values, shape)) }
    }

    fn two_entries() -> Vec<Entry> {
        vec![entry("generator.b", vec![1.0, -2.5]), entry("discriminator.a", vec![3.0])]
    }

    #[test]
    fn what_is_written_is_read_back_by_group() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        write(&path, &description(), two_entries()).expect("written");
        let mut checkpoint = Checkpoint::open(&path).expect("opened");
        assert_eq!(checkpoint.description(), &description());
        let group = checkpoint.read_group("generator").expect("read");
        assert_eq!(group, checkpoint.map_group("generator").expect("mapped"));
        assert_eq!(group, BTreeMap::from([("b".to_owned(), TensorData::from([1.0_f32, -2.5]))]));
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }

    #[test]
    fn other_readers_of_the_format_understand_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        write(&path, &description(), two_entries()).expect("written");
        let bytes = fs::read(&path).expect("read");
        let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
        assert_eq!(tensors.tensor("discriminator.a").expect("there").data(), 3.0_f32.to_le_bytes());
    }

    #[test]
    fn cut_off_and_foreign_files_are_errors_wherever_the_cut_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        write(&path, &description(), two_entries()).expect("written");
        let whole = fs::read(&path).expect("read");
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).expect("cut");
            assert!(matches!(Checkpoint::open(&path), Err(CheckpointError::Damaged { .. })), "{length} bytes");
        }
        fs::write(&path, b"not a checkpoint at all, just text").expect("written");
        assert!(matches!(Checkpoint::open(&path), Err(CheckpointError::Damaged { .. })));
        assert!(matches!(Checkpoint::open(&folder.path().join("none")), Err(CheckpointError::Read { .. })));
    }

    #[test]
    fn a_newer_format_is_refused_with_both_numbers() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        write(&path, &Description { format: 99, ..description() }, two_entries()).expect("written");
        assert!(matches!(Checkpoint::open(&path), Err(CheckpointError::Format { found: 99, .. })));
    }

    #[test]
    fn values_that_are_not_finite_never_replace_a_good_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.safetensors");
        write(&path, &description(), two_entries()).expect("written");
        let before = fs::read(&path).expect("read");
        let result = write(&path, &description(), vec![entry("generator.b", vec![f32::NAN])]);
        assert!(matches!(result, Err(CheckpointError::NotFinite { .. })));
        assert_eq!(fs::read(&path).expect("read"), before);
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
