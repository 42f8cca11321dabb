//! How long a sound will take, before it is made.

use std::time::{Duration, Instant};

use ossicle_generate::Generator;

use super::generator::{Model, SoundGenerator};
use super::{Description, GenerateError, Request};

/// Steps that are tried. The first one finds nothing in the caches of the core, so the middle one of them counts.
const STEPS: usize = 7;

impl SoundGenerator {
    /// How long a sound will take with what else this machine does now: a few steps and a chunk of the codec are computed, timed and thrown away.
    /// Sounds made later are the same as without.
    ///
    /// ```
    /// use ossicle::generate::{Options, Request, SoundGenerator, describe};
    /// use ossicle_kernels::simd::Isa;
    ///
    /// # let folder: &std::path::Path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models-int8/effects").as_ref();
    /// let options = Options { isa: Isa::detect(), threads: 1 };
    /// let description = describe(folder, options, &["a dog barks"])?.remove(0);
    /// let request = Request::new(folder, 10.0)?;
    /// let mut generator = SoundGenerator::open(folder, options, request, description.rows())?;
    /// println!("about {:.1} s", generator.expect(&description, request)?.as_secs_f64());
    /// # Ok::<(), ossicle::generate::GenerateError>(())
    /// ```
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn expect(&mut self, description: &Description, request: Request) -> Result<Duration, GenerateError> {
        self.check(description, &request)?;
        let windows = self.folders.windows(&request)?;
        let tap = self.tap.take();
        self.set_tap(None);
        let mut whole = self.codec_pace()?.mul_f64(windows.total() as f64);
        let (begin, step) = self.step_pace(description, request)?;
        let plan = self.model.memory_plan();
        for (_, frames) in windows.iter() {
            let steps = self.folders.pattern().steps(frames) - 1;
            // A step reads the weights, and keys and values of all steps before it.
            let cached = plan.state as f64 * 0.5 * steps as f64 / self.limits.steps.max(1) as f64;
            whole += begin + step.mul_f64(steps as f64 * (1.0 + cached / plan.weights.max(1) as f64));
        }
        self.set_tap(tap);
        Ok(whole)
    }

    /// What a window takes to begin, and one of its first steps.
    fn step_pace(&mut self, description: &Description, request: Request) -> Result<(Duration, Duration), GenerateError> {
        let (pattern, settings) = (self.folders.pattern(), request.settings(self.options.isa));
        let frames = STEPS.min(self.limits.steps + 1).saturating_sub(pattern.longest()).max(1);
        let failed = |error: &dyn std::fmt::Display| GenerateError::Setting(error.to_string());
        let mut generator =
            Generator::new(pattern, self.folders.model.config().vocab_size, frames, settings).map_err(|error| failed(&error))?;
        let begun = Instant::now();
        self.model.start(&description.values)?;
        let begin = begun.elapsed();
        let mut steps = vec![];
        loop {
            let begun = Instant::now();
            let more = generator.step(&mut Model(&mut self.model)).map_err(|error| failed(&error))?;
            if more.is_none() {
                break;
            }
            steps.push(begun.elapsed());
        }
        steps.sort_unstable();
        Ok((begin, steps.get(steps.len() / 2).copied().unwrap_or_default()))
    }

    /// What the codec takes for a frame, in a chunk as long as its own.
    fn codec_pace(&mut self) -> Result<Duration, GenerateError> {
        let frame = vec![0; self.folders.codec.facts().codebooks];
        let (mut frames, mut heard) = (0_u32, false);
        let begun = Instant::now();
        self.decoder.start(0);
        while !heard {
            self.decoder.push(&frame, &mut |_| heard = true)?;
            frames += 1;
        }
        self.decoder.finish(&mut |_| {})?;
        Ok(begun.elapsed() / frames)
    }
}
