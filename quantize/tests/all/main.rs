//! One binary, so that the runtime is linked once.
#![allow(unreachable_pub)]

mod audiogen;
mod clip;
mod common;
mod ct2;
mod encodec;
mod events;
mod folder;
mod hf;
mod networks;
mod pack;
mod reference;
mod shapes;
mod siglip;
mod signal;
mod spectral;
