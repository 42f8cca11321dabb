use std::fmt;
use std::io;

/// Why there is no frame.
#[derive(Debug)]
pub enum FrameError {
    /// The stream cannot be read on.
    Read(io::Error),
    /// It is no stream of frames that is known.
    Unknown {
        /// Its first bytes.
        start: Vec<u8>,
    },
    /// A frame or a header is damaged, cut off or too large.
    Damaged {
        /// The frame, counted from 0.
        frame: u64,
        /// What is wrong with it.
        problem: String,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "cannot be read on: {error}"),
            Self::Unknown { start } => {
                let start: String = start.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' }).collect();
                write!(
                    f,
                    "begins with {start:?}: not a stream of JPEG, PNG or binary PPM images nor YUV4MPEG2: give --raw and --size for bare pixels"
                )
            }
            Self::Damaged { frame, problem } => write!(f, "frame {frame}: {problem}"),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) => Some(error),
            Self::Unknown { .. } | Self::Damaged { .. } => None,
        }
    }
}
