//! Log-mel features of audio that arrives bit by bit.

use heapless::Vec;

use crate::mel::{FRAME_SAMPLES, FrameScratch, HOP_SAMPLES, LEAD_SAMPLES, LogMel, MAX_BINS};

/// Samples the first frame needs: 200 from its centre on, and one more, since mirroring skips the centre.
const FIRST_SAMPLES: usize = LEAD_SAMPLES + 1;

/// Computes log10 mel frames one by one, as soon as their samples are there (15 ms after the frame's first 10 ms). About 5 KiB, for ever.
///
/// Frames have the bits of [`LogMel::log10_frames`], however the samples are cut into chunks.
///
/// ```
/// use ossicle_frontend::mel::{LogMel, LogMelStream};
/// use ossicle_kernels::simd::Isa;
///
/// let mut stream = LogMelStream::new(LogMel::new(Isa::detect(), 80)?);
/// let mut frames = 0;
/// for chunk in [[0.1; 400]; 4] {
///     stream.push(&chunk, |frame| frames += usize::from(frame.len() == 80));
/// }
/// stream.finish(|_| frames += 1);
/// assert_eq!(frames, 10);
/// # Ok::<(), ossicle_frontend::mel::MelError>(())
/// ```
pub struct LogMelStream {
    mel: LogMel,
    /// The next frame's samples; before the first frame, the recording's samples as they are.
    window: Vec<f32, { FRAME_SAMPLES + 1 }>,
    started: bool,
    received: u64,
    emitted: u64,
    frame: [f32; MAX_BINS],
    scratch: FrameScratch,
}

impl LogMelStream {
    /// A stream at its start.
    pub const fn new(mel: LogMel) -> Self {
        Self { mel, window: Vec::new(), started: false, received: 0, emitted: 0, frame: [0.0; MAX_BINS], scratch: FrameScratch::new() }
    }

    /// Takes finite 16 kHz samples and hands each frame they complete to `each`.
    pub fn push(&mut self, samples: &[f32], mut each: impl FnMut(&[f32])) {
        self.received += samples.len() as u64;
        self.take(samples, &mut each);
    }

    /// Ends the recording with silence: hands over the frames whose centre's whole hop was received, `samples / 160` in all, and starts
    /// anew.
    pub fn finish(&mut self, mut each: impl FnMut(&[f32])) {
        let total = self.received / HOP_SAMPLES as u64;
        while self.emitted < total {
            let missing = if self.started { FRAME_SAMPLES } else { FIRST_SAMPLES } - self.window.len();
            self.take(&[0.0; FRAME_SAMPLES][..missing], &mut each);
        }
        crate::log::debug!("log-mel stream: {} frames of {} samples", self.emitted, self.received);
        self.window.clear();
        (self.started, self.received, self.emitted) = (false, 0, 0);
    }

    fn take(&mut self, mut samples: &[f32], each: &mut impl FnMut(&[f32])) {
        loop {
            let wanted = if self.started { FRAME_SAMPLES } else { FIRST_SAMPLES };
            let taken = samples.len().min(wanted.saturating_sub(self.window.len()));
            let (now, later) = samples.split_at(taken);
            samples = later;
            // The window holds `wanted` samples, so this never fails.
            let _ = self.window.extend_from_slice(now);
            if self.window.len() < wanted {
                return;
            }
            if !self.started {
                self.mirror();
            }
            self.emit(each);
        }
    }

    /// Puts the mirrored samples before the first ones: x[200] .. x[1] x[0] .. x[200].
    fn mirror(&mut self) {
        self.started = true;
        let _ = self.window.resize(FRAME_SAMPLES + 1, 0.0);
        self.window.copy_within(..FIRST_SAMPLES, LEAD_SAMPLES);
        for n in 1..=LEAD_SAMPLES {
            self.window[LEAD_SAMPLES - n] = self.window[LEAD_SAMPLES + n];
        }
    }

    fn emit(&mut self, each: &mut impl FnMut(&[f32])) {
        let frame = &mut self.frame[..self.mel.bins()];
        if let Some(samples) = self.window.first_chunk() {
            // The frame has the filters' size, so this never fails.
            let _ = self.mel.log10_frame(samples, frame, &mut self.scratch);
            each(frame);
        }
        self.emitted += 1;
        self.window.copy_within(HOP_SAMPLES.., 0);
        self.window.truncate(self.window.len() - HOP_SAMPLES);
    }
}
