//! Types of values.

use bytemuck::Pod;
use tract_core::internal::Datum;

/// A type of values in buffers: f32, i32, i8 or u8.
pub trait Element: Datum + Pod {}

impl Element for f32 {}
impl Element for i32 {}
impl Element for i8 {}
impl Element for u8 {}
