//! Shapes and text on a bitmap.

use tiny_skia::{Color, FillRule, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// DejaVu Sans, cut down: see its folder.
const FONT: &[u8] = include_bytes!("../font/DejaVuSans.ttf");

/// Where text begins, ends or has its middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Middle,
    Right,
}

/// A bitmap to draw on; lengths are pixels, `y` grows downwards.
pub(crate) struct Canvas {
    pixels: Pixmap,
    face: Face<'static>,
}

impl Canvas {
    /// White, at least one pixel.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let mut pixels = Pixmap::new(width.max(1), height.max(1)).expect("a picture of some thousand pixels");
        pixels.fill(Color::WHITE);
        Self { pixels, face: Face::parse(FONT, 0).expect("the bundled font") }
    }

    /// As PNG.
    pub(crate) fn png(&self) -> Vec<u8> {
        self.pixels.encode_png().expect("PNG holds any bitmap")
    }

    /// Sets a pixel; nothing outside.
    pub(crate) fn set(&mut self, x: u32, y: u32, [r, g, b]: [u8; 3]) {
        if x < self.pixels.width() && y < self.pixels.height() {
            let at = (y * self.pixels.width() + x) as usize * 4;
            self.pixels.data_mut()[at..at + 4].copy_from_slice(&[r, g, b, 255]);
        }
    }

    pub(crate) fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color) {
        if let Some(rect) = Rect::from_xywh(x, y, width, height) {
            self.pixels.fill_rect(rect, &paint(color), Transform::identity(), None);
        }
    }

    pub(crate) fn outline(&mut self, x: f32, y: f32, width: f32, height: f32, color: Color, thick: f32) {
        if let Some(rect) = Rect::from_xywh(x, y, width, height) {
            self.stroke(&PathBuilder::from_rect(rect), color, thick, None);
        }
    }

    /// A line through points; none through fewer than two.
    pub(crate) fn line(&mut self, points: impl IntoIterator<Item = (f32, f32)>, color: Color, thick: f32) {
        self.polyline(points, color, thick, None);
    }

    /// The same, dashed.
    pub(crate) fn dashes(&mut self, points: impl IntoIterator<Item = (f32, f32)>, color: Color, thick: f32) {
        self.polyline(points, color, thick, StrokeDash::new(vec![4.0, 3.0], 0.0));
    }

    fn polyline(&mut self, points: impl IntoIterator<Item = (f32, f32)>, color: Color, thick: f32, dash: Option<StrokeDash>) {
        let mut path = PathBuilder::new();
        for (x, y) in points {
            if path.is_empty() {
                path.move_to(x, y);
            } else {
                path.line_to(x, y);
            }
        }
        if let Some(path) = path.finish() {
            self.stroke(&path, color, thick, dash);
        }
    }

    fn stroke(&mut self, path: &Path, color: Color, width: f32, dash: Option<StrokeDash>) {
        self.pixels.stroke_path(path, &paint(color), &Stroke { width, dash, ..Stroke::default() }, Transform::identity(), None);
    }

    /// Text on the baseline `y`.
    pub(crate) fn text(&mut self, text: &str, x: f32, y: f32, size: f32, align: Align, color: Color) {
        let x = match align {
            Align::Left => x,
            Align::Middle => x - self.width(text, size) / 2.0,
            Align::Right => x - self.width(text, size),
        };
        let scale = self.scale(size);
        let mut outline = Outline { path: PathBuilder::new(), x, y, scale };
        for c in text.chars() {
            let glyph = self.glyph(c);
            // A space has no outline.
            let _ = self.face.outline_glyph(glyph, &mut outline);
            outline.x += self.advance(glyph) * scale;
        }
        if let Some(path) = outline.path.finish() {
            self.pixels.fill_path(&path, &paint(color), FillRule::Winding, Transform::identity(), None);
        }
    }

    /// How wide text is.
    pub(crate) fn width(&self, text: &str, size: f32) -> f32 {
        text.chars().map(|c| self.advance(self.glyph(c))).sum::<f32>() * self.scale(size)
    }

    /// Text cut to fit, with an ellipsis at its end if anything is missing.
    pub(crate) fn fitted(&self, text: &str, size: f32, width: f32) -> String {
        if self.width(text, size) <= width {
            return text.to_owned();
        }
        let mut kept: String = text.chars().take(200).collect();
        while !kept.is_empty() && self.width(&format!("{kept}…"), size) > width {
            kept.pop();
        }
        format!("{}…", kept.trim_end())
    }

    fn scale(&self, size: f32) -> f32 {
        size / f32::from(self.face.units_per_em())
    }

    /// A character's glyph, or the one for characters that the font lacks.
    fn glyph(&self, c: char) -> GlyphId {
        self.face.glyph_index(c).unwrap_or_default()
    }

    fn advance(&self, glyph: GlyphId) -> f32 {
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0))
    }
}

fn paint(color: Color) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(color);
    paint
}

/// A glyph's outline on its way to pixels.
struct Outline {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Outline {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_to_its_room() {
        let canvas = Canvas::new(10, 10);
        assert_eq!(canvas.fitted("Dog", 12.0, 100.0), "Dog");
        let cut = canvas.fitted("Domestic animals, pets", 12.0, 80.0);
        assert!(cut.ends_with('…') && canvas.width(&cut, 12.0) <= 80.0 && cut.len() > 8, "{cut}");
        assert_eq!(canvas.fitted("Dog", 12.0, 0.0), "…");
        // Digits are of one width, and a missing character is not nothing.
        assert_eq!(canvas.width("1111", 12.0), canvas.width("8888", 12.0));
        assert!(canvas.width("犬", 12.0) > 5.0);
    }

    #[test]
    fn letters_leave_ink() {
        let mut canvas = Canvas::new(40, 20);
        canvas.text("I", 10.0, 15.0, 12.0, Align::Left, Color::BLACK);
        let dark = |canvas: &Canvas, x, y| canvas.pixels.pixel(x, y).unwrap().red() < 128;
        assert!((0..20).any(|y| (10..14).any(|x| dark(&canvas, x, y))));
        assert!((0..20).all(|y| (0..10).chain(16..40).all(|x| !dark(&canvas, x, y))));
    }
}
