//! `--plot` and `--html`.

#[cfg(feature = "plot")]
pub(super) use with::{Show, ShowArgs};
#[cfg(not(feature = "plot"))]
pub(super) use without::{Show, ShowArgs};

#[cfg(feature = "plot")]
mod with {
    use std::path::{Path, PathBuf};

    use anyhow::Result;
    use ossicle::events::{Detector, Heard};
    use ossicle_kernels::simd::Isa;
    use ossicle_plot::{Clip, MOST_EVENTS, MOST_SECONDS, Sketch, write_page};

    use crate::fault::{self, Fault};
    use crate::input;

    /// What to show.
    #[derive(clap::Args)]
    pub(in crate::detect) struct ShowArgs {
        /// Draw the spectrogram with the events on it (one recording)
        #[arg(long, value_name = "FILE.png")]
        plot: Option<PathBuf>,
        /// Write a page that shows the events and plays them; with the sound if it is not longer than ten minutes (one recording)
        #[arg(long, value_name = "FILE.html")]
        html: Option<PathBuf>,
    }

    /// What is kept of a recording until it is shown.
    pub(in crate::detect) struct Show {
        sketch: Sketch,
        clip: Option<Clip>,
    }

    impl ShowArgs {
        /// What is written, by options.
        pub(in crate::detect) fn outputs(&self) -> Vec<(&'static str, &Path)> {
            let outputs = [("--plot", &self.plot), ("--html", &self.html)];
            outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect()
        }

        /// Refuses what would be found out at the end of a long recording.
        pub(in crate::detect) fn check(&self, files: &[PathBuf]) -> Result<(), Fault> {
            for (option, path) in self.outputs() {
                if files.len() > 1 {
                    return Err(Fault::line(format!("{option}: {} recordings: it shows one: take them one by one", files.len())));
                }
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
                if !folder.is_dir() || path.is_dir() {
                    return Err(Fault::new(format!("{option} cannot be written"), path.display(), "name a file in a folder that is there"));
                }
            }
            Ok(())
        }

        /// Begins a recording, if it is to be shown.
        pub(in crate::detect) fn start(&self, isa: Isa, labels: usize) -> Option<Show> {
            let clip = self.html.is_some().then(Clip::default);
            (self.plot.is_some() || clip.is_some()).then(|| Show { sketch: Sketch::new(isa, labels), clip })
        }

        /// Writes the picture and the page of the recording `file`.
        pub(in crate::detect) fn finish(&self, show: Show, file: &Path, detector: &Detector) -> Result<()> {
            let name = match file.file_name() {
                Some(name) if !input::is_stdin(file) => name.to_string_lossy().into_owned(),
                _ => "standard input".to_owned(),
            };
            let Show { sketch, clip } = show;
            if sketch.left_out() > 0 {
                fault::complain(&format!("{name}: {} events are not shown: the first {MOST_EVENTS} are", sketch.left_out()));
            }
            if clip.as_ref().is_some_and(Clip::is_too_long) {
                fault::complain(&format!("{name}: the page is without the sound: it is longer than {} minutes", MOST_SECONDS / 60));
            }
            let figure = sketch.finish(&name, detector.classes());
            if let Some(path) = &self.plot {
                input::whole_file(path, |out| Ok(out.write_all(&figure.png())?))?;
            }
            if let Some(path) = &self.html {
                input::whole_file(path, |out| Ok(write_page(&figure, clip.as_ref(), out)?))?;
            }
            Ok(())
        }
    }

    impl Show {
        pub(in crate::detect) fn samples(&mut self, samples: &[f32]) {
            self.sketch.samples(samples);
            if let Some(clip) = &mut self.clip {
                clip.push(samples);
            }
        }

        pub(in crate::detect) fn heard(&mut self, heard: &Heard<'_>) {
            self.sketch.heard(heard);
        }
    }
}

#[cfg(not(feature = "plot"))]
mod without {
    use std::path::{Path, PathBuf};

    use anyhow::Result;
    use ossicle::events::{Detector, Heard};
    use ossicle_kernels::simd::Isa;

    use crate::fault::Fault;

    /// No option.
    #[derive(clap::Args)]
    pub(in crate::detect) struct ShowArgs {}

    /// There is none.
    pub(in crate::detect) enum Show {}

    impl ShowArgs {
        pub(in crate::detect) fn outputs(&self) -> Vec<(&'static str, &Path)> {
            vec![]
        }

        pub(in crate::detect) fn check(&self, _: &[PathBuf]) -> Result<(), Fault> {
            Ok(())
        }

        pub(in crate::detect) fn start(&self, _: Isa, _: usize) -> Option<Show> {
            None
        }

        pub(in crate::detect) fn finish(&self, show: Show, _: &Path, _: &Detector) -> Result<()> {
            match show {}
        }
    }

    impl Show {
        pub(in crate::detect) fn samples(&mut self, _: &[f32]) {
            match *self {}
        }

        pub(in crate::detect) fn heard(&mut self, _: &Heard<'_>) {
            match *self {}
        }
    }
}
