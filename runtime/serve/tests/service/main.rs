//! A service as its clients see it, with a model that needs no weights.

mod client;
mod embeddings;
mod http;
mod limits;
mod mqtt;
mod speech;
mod speech_http;
mod wyoming;
