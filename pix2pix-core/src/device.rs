//! Devices by name: what this build has, what this machine has, and errors instead of the panics of a missing driver.

use std::{fmt, str::FromStr};

pub use burn::tensor::Device;

/// A kind of device, compiled in or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// burn's own CPU backend, the default.
    Flex,
    /// The ndarray CPU backend: the independent reference that tests compare with.
    Ndarray,
    /// NVIDIA GPUs.
    Cuda,
    /// GPUs through Vulkan.
    Vulkan,
    /// Apple GPUs.
    Metal,
    /// GPUs through whatever graphics interface the machine has.
    Wgpu,
}

impl DeviceKind {
    /// All kinds, in the order in which they are listed.
    pub const ALL: [Self; 6] = [Self::Flex, Self::Ndarray, Self::Cuda, Self::Vulkan, Self::Metal, Self::Wgpu];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Metal => "metal",
            Self::Wgpu => "wgpu",
        }
    }

    /// What it is, in a few words.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Flex => "CPU, pure Rust (default)",
            Self::Ndarray => "CPU, independent reference for tests",
            Self::Cuda => "NVIDIA GPU",
            Self::Vulkan => "GPU through Vulkan",
            Self::Metal => "Apple GPU",
            Self::Wgpu => "GPU through the machine's graphics interface",
        }
    }

    /// Whether this build contains it.
    pub const fn is_compiled_in(self) -> bool {
        match self {
            Self::Flex => true,
            Self::Ndarray => cfg!(feature = "ndarray"),
            Self::Cuda => cfg!(feature = "cuda"),
            Self::Vulkan => cfg!(feature = "vulkan"),
            Self::Metal => cfg!(feature = "metal"),
            Self::Wgpu => cfg!(feature = "wgpu"),
        }
    }
}

/// A device by kind and number, written `cuda` or `cuda:1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// Its kind.
    pub kind: DeviceKind,
    /// Which of several, from 0.
    pub index: usize,
}

impl DeviceName {
    /// Whether it computes on the processor's own cores.
    pub const fn is_cpu(&self) -> bool {
        matches!(self.kind, DeviceKind::Flex | DeviceKind::Ndarray)
    }
}

impl Default for DeviceName {
    fn default() -> Self {
        Self { kind: DeviceKind::Flex, index: 0 }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            0 => formatter.write_str(self.kind.name()),
            index => write!(formatter, "{}:{index}", self.kind.name()),
        }
    }
}

/// A device that cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No kind has this name.
    #[error(
        "unknown device {name:?}, known are flex, ndarray, cuda, vulkan, metal and wgpu, each with :N for a number"
    )]
    Unknown {
        /// What was given.
        name: String,
    },
    /// The kind exists, but this build does not contain it.
    #[error("device {} is not part of this build", kind.name())]
    NotCompiledIn {
        /// The kind.
        kind: DeviceKind,
    },
    /// The build contains it, the machine does not have it.
    #[error("device {name} is not there: {reason}")]
    NotPresent {
        /// The device asked for.
        name: DeviceName,
        /// What was found instead.
        reason: String,
    },
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown { name: text.to_owned() };
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, index.parse().map_err(|_| unknown())?),
            None => (text, 0),
        };
        let kind = match kind.to_ascii_lowercase().as_str() {
            "cpu" => DeviceKind::Flex,
            name => DeviceKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(unknown)?,
        };
        Ok(Self { kind, index })
    }
}

impl DeviceName {
    /// Opens the device, after looking whether it is there.
    ///
    /// # Errors
    /// A kind that is not compiled in, or a device that the machine does not have.
    pub fn open(self) -> Result<Device, DeviceError> {
        if !self.kind.is_compiled_in() {
            return Err(DeviceError::NotCompiledIn { kind: self.kind });
        }
        self.check_present().map_err(|reason| DeviceError::NotPresent { name: self, reason })?;
        Ok(match self.kind {
            DeviceKind::Flex => Device::flex(),
            #[cfg(feature = "ndarray")]
            #[expect(deprecated, reason = "the reference that tests compare the default device with")]
            DeviceKind::Ndarray => Device::ndarray(),
            #[cfg(feature = "cuda")]
            DeviceKind::Cuda => Device::cuda(self.index),
            #[cfg(feature = "vulkan")]
            DeviceKind::Vulkan => Device::vulkan(self.graphics_device()),
            #[cfg(feature = "metal")]
            DeviceKind::Metal => Device::metal(self.graphics_device()),
            #[cfg(feature = "wgpu")]
            DeviceKind::Wgpu => Device::wgpu(self.graphics_device()),
            #[allow(unreachable_patterns, reason = "reachable only where a feature is off, and refused above")]
            kind => return Err(DeviceError::NotCompiledIn { kind }),
        })
    }

    /// Says what is missing before burn would panic over it.
    fn check_present(self) -> Result<(), String> {
        match self.kind {
            DeviceKind::Flex | DeviceKind::Ndarray if self.index > 0 => Err("there is one CPU device, number 0".into()),
            #[cfg(feature = "cuda")]
            DeviceKind::Cuda => cuda::check(self.index),
            #[cfg(feature = "vulkan")]
            DeviceKind::Vulkan => check_graphics(self, burn::tensor::DeviceType::Vulkan),
            #[cfg(feature = "metal")]
            DeviceKind::Metal => check_graphics(self, burn::tensor::DeviceType::Metal),
            #[cfg(feature = "wgpu")]
            DeviceKind::Wgpu => check_graphics(self, burn::tensor::DeviceType::Wgpu),
            _ => Ok(()),
        }
    }

    #[cfg(any(feature = "vulkan", feature = "metal", feature = "wgpu"))]
    fn graphics_device(self) -> burn::tensor::DeviceKind {
        match self.index {
            0 => burn::tensor::DeviceKind::DefaultDevice,
            index => burn::tensor::DeviceKind::DiscreteGpu(index),
        }
    }
}

/// Looks for graphics adapters; the enumeration itself may panic where no driver is installed.
#[cfg(any(feature = "vulkan", feature = "metal", feature = "wgpu"))]
fn check_graphics(name: DeviceName, kind: burn::tensor::DeviceType) -> Result<(), String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = std::panic::catch_unwind(|| Device::enumerate(kind).into_iter().count());
    std::panic::set_hook(hook);
    match found {
        Ok(count) if count > name.index => Ok(()),
        Ok(0) => Err("no graphics adapter was found; is a driver installed?".into()),
        Ok(count) => Err(format!("the machine has {count}, numbered from 0")),
        Err(_) => Err("the graphics driver could not be started".into()),
    }
}

#[cfg(feature = "cuda")]
mod cuda {
    //! Asks the CUDA driver how many devices there are, without burn.

    use std::ffi::c_int;

    #[cfg(windows)]
    const DRIVERS: [&str; 1] = ["nvcuda.dll"];
    #[cfg(not(windows))]
    const DRIVERS: [&str; 2] = ["libcuda.so.1", "libcuda.so"];

    /// # Errors
    /// No driver, a driver that does not start, or fewer devices than `index` needs.
    #[expect(unsafe_code, reason = "the driver is a C library that may not be there")]
    pub fn check(index: usize) -> Result<(), String> {
        // SAFETY: loading the vendor's driver runs its initialisers, as any CUDA program does.
        let driver = DRIVERS.iter().find_map(|name| unsafe { libloading::Library::new(name) }.ok());
        let driver = driver.ok_or("no NVIDIA driver was found (libcuda)")?;
        // SAFETY: both signatures are those of the CUDA driver interface, stable since its first version.
        let (start, count) = unsafe {
            let start = driver.get::<unsafe extern "C" fn(u32) -> c_int>(b"cuInit\0");
            let count = driver.get::<unsafe extern "C" fn(*mut c_int) -> c_int>(b"cuDeviceGetCount\0");
            (start.map_err(|error| error.to_string())?, count.map_err(|error| error.to_string())?)
        };
        let mut devices: c_int = 0;
        // SAFETY: `cuInit` takes 0 as its only defined flag; the count is written to a live integer.
        let status = unsafe {
            match start(0) {
                0 => count(&raw mut devices),
                failed => failed,
            }
        };
        match (status, usize::try_from(devices).unwrap_or(0)) {
            (0, found) if found > index => Ok(()),
            (0, found) => Err(format!("the machine has {found} NVIDIA GPUs, numbered from 0")),
            (status, _) => Err(format!("the NVIDIA driver does not start (CUDA error {status})")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_and_without_numbers() {
        let read = |text: &str| text.parse::<DeviceName>();
        assert_eq!(read("cuda:1"), Ok(DeviceName { kind: DeviceKind::Cuda, index: 1 }));
        assert_eq!(read("CPU"), Ok(DeviceName::default()));
        assert_eq!(read("cuda:1").map(|name| name.to_string()), Ok("cuda:1".into()));
        for wrong in ["tpu", "cuda:", "cuda:-1", ""] {
            assert_eq!(read(wrong), Err(DeviceError::Unknown { name: wrong.into() }));
        }
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error_and_no_panic() {
        assert!(DeviceName::default().open().is_ok());
        assert!(DeviceName { kind: DeviceKind::Flex, index: 3 }.open().is_err());
        for kind in DeviceKind::ALL {
            let opened = DeviceName { kind, index: 99 }.open();
            match kind.is_compiled_in() {
                false => assert_eq!(opened.err(), Some(DeviceError::NotCompiledIn { kind })),
                true => assert!(matches!(opened, Err(DeviceError::NotPresent { .. })), "{kind:?}"),
            }
        }
    }
}
