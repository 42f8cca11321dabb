//! A camera as a stream of JPEG images, opened again when it goes away.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::fault;

/// How long it takes until a camera that went away is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// What a camera gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(all(feature = "v4l2", target_os = "linux")), allow(dead_code, reason = "without it no camera gives anything"))]
pub(super) enum Given {
    /// A frame, or nothing: cameras give nothing now and then when they begin.
    Frame,
    /// A frame of which the camera says itself that it is damaged.
    Damaged,
}

/// Gives frames one by one.
pub(super) trait Camera: Send {
    /// The next frame, a JPEG image; waits for it.
    ///
    /// # Errors
    /// The camera went away.
    fn frame(&mut self, frame: &mut Vec<u8>) -> io::Result<Given>;
}

/// Opens a camera, the first time and each time that it went away.
pub(super) type Open = Box<dyn FnMut() -> io::Result<Box<dyn Camera>> + Send>;

/// Frames of a camera one after another.
pub(super) struct Frames {
    name: String,
    open: Open,
    camera: Option<Box<dyn Camera>>,
    frame: Vec<u8>,
    taken: usize,
    damaged: Arc<AtomicU64>,
    pause: Duration,
}

impl Frames {
    /// Opens the camera.
    ///
    /// # Errors
    /// It is not there, or gives no JPEG images.
    pub(super) fn new(name: &Path, mut open: Open) -> io::Result<Self> {
        let camera = Some(open()?);
        Ok(Self { name: name.display().to_string(), open, camera, frame: vec![], taken: 0, damaged: Arc::default(), pause: PAUSE })
    }

    /// How many frames the camera itself called damaged; they are left out.
    pub(super) fn damaged(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.damaged)
    }

    /// Waits for the next frame, and for the camera if there is none.
    fn next(&mut self) {
        loop {
            let Some(camera) = &mut self.camera else {
                thread::sleep(self.pause);
                self.camera = (self.open)().ok();
                if self.camera.is_some() {
                    fault::complain(&format!("{}: is back", self.name));
                }
                continue;
            };
            self.frame.clear();
            self.taken = 0;
            match camera.frame(&mut self.frame) {
                Ok(Given::Damaged) => {
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                    self.frame.clear();
                }
                Ok(Given::Frame) if self.frame.is_empty() => {}
                Ok(Given::Frame) => return,
                Err(error) => {
                    fault::complain(&format!("{}: went away ({error}): it is tried again each second", self.name));
                    self.camera = None;
                }
            }
        }
    }
}

impl Read for Frames {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.taken == self.frame.len() {
            self.next();
        }
        let left = &self.frame[self.taken..];
        let count = left.len().min(out.len());
        out[..count].copy_from_slice(&left[..count]);
        self.taken += count;
        Ok(count)
    }
}

/// Whether a path is a device of the system's.
pub(super) fn is_device(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        path.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device())
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

/// A camera of the kernel's interface V4L2.
#[cfg(all(feature = "v4l2", target_os = "linux"))]
pub(super) fn v4l2(path: &Path, size: Option<(usize, usize)>) -> Open {
    use linuxvideo::format::{PixFormat, PixelFormat};
    use linuxvideo::stream::ReadStream;
    use linuxvideo::{BufType, Device};

    struct V4l2(ReadStream);

    impl Camera for V4l2 {
        fn frame(&mut self, frame: &mut Vec<u8>) -> io::Result<Given> {
            self.0.dequeue(|buffer| {
                frame.extend_from_slice(&buffer);
                Ok(if buffer.is_error() { Given::Damaged } else { Given::Frame })
            })
        }
    }

    let path = path.to_owned();
    Box::new(move || {
        let device = Device::open(&path)?;
        let formats = device.formats(BufType::VIDEO_CAPTURE).map(|format| Ok(format?.pixel_format())).collect::<io::Result<Vec<_>>>()?;
        let Some(format) = [PixelFormat::MJPG, PixelFormat::JPEG].into_iter().find(|format| formats.contains(format)) else {
            let problem = "it gives no JPEG images: pipe ffmpeg -f v4l2 -i DEVICE -f yuv4mpegpipe - into ossicle look";
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        };
        let (width, height) = size.unwrap_or((640, 480));
        let [width, height] = [width, height].map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        let capture = device.video_capture(PixFormat::new(width, height, format))?;
        if capture.format().pixel_format() != format {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "it does not give the JPEG images that it names"));
        }
        Ok(Box::new(V4l2(capture.into_stream()?)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use ossicle::look::FrameReader;

    use super::*;

    /// Gives some frames, each an image of one colour, then goes away.
    struct Fake {
        left: Vec<Vec<u8>>,
    }

    impl Camera for Fake {
        fn frame(&mut self, frame: &mut Vec<u8>) -> io::Result<Given> {
            let next = self.left.pop().ok_or_else(|| io::Error::from_raw_os_error(19))?;
            // One that was cut off has no end.
            let whole = next.is_empty() || next.ends_with(&[0xff, 0xd9]);
            frame.extend(next);
            Ok(if whole { Given::Frame } else { Given::Damaged })
        }
    }

    fn jpeg(name: u8) -> Vec<u8> {
        // No picture, but the markers of one: a comment tells them apart.
        [&[0xff, 0xd8, 0xff, 0xfe, 0, 3, name, 0xff, 0xda, 0, 2], &[1, 2, 3][..], &[0xff, 0xd9]].concat()
    }

    #[test]
    fn a_camera_that_goes_away_is_opened_again() {
        let opened = Arc::new(Mutex::new(0));
        let count = Arc::clone(&opened);
        // The second time it is not there yet.
        let open = move || {
            let mut count = count.lock().unwrap();
            *count += 1;
            let frames = match *count {
                1 => vec![jpeg(2), vec![], jpeg(9)[..9].to_vec(), jpeg(1)],
                3 => vec![jpeg(4), jpeg(3)],
                4.. => vec![jpeg(5)],
                _ => return Err(io::ErrorKind::NotFound.into()),
            };
            Ok(Box::new(Fake { left: frames }) as Box<dyn Camera>)
        };
        let mut frames = Frames::new(Path::new("/dev/video0"), Box::new(open)).unwrap();
        frames.pause = Duration::ZERO;
        let mut bytes = vec![0; 5 * jpeg(0).len()];
        frames.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4, 5].map(jpeg).concat());
        assert_eq!(*opened.lock().unwrap(), 4);
        assert_eq!(frames.damaged().load(Ordering::Relaxed), 1);
    }

    #[test]
    fn frames_are_those_of_the_camera() {
        let open = || Ok(Box::new(Fake { left: vec![jpeg(8), jpeg(7)] }) as Box<dyn Camera>);
        let mut frames = Frames::new(Path::new("/dev/video0"), Box::new(open)).unwrap();
        frames.pause = Duration::ZERO;
        let mut reader = FrameReader::new(frames, None).unwrap();
        for index in 0..6 {
            assert_eq!(reader.next_frame().unwrap().unwrap().index(), index);
        }
    }

    #[test]
    fn a_camera_that_is_not_there_is_an_error() {
        let open = || Err(io::ErrorKind::NotFound.into());
        assert!(Frames::new(Path::new("/dev/video9"), Box::new(open)).is_err());
        assert!(!is_device(Path::new(".")));
        #[cfg(unix)]
        assert!(is_device(Path::new("/dev/null")));
    }
}
