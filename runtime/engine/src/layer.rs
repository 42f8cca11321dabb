//! Layers, and the buffers they are handed.

use std::fmt::Debug;

use ossicle_trace::Values;
use tract_core::internal::{DatumExt, DatumType, TVec, TractResult, TypedFact, ensure};

use crate::Session;
use crate::arena::Place;
pub use crate::element::Element;
use crate::error::GraphError;
use crate::recorder::Record;
use crate::scratch::{Need, Scratch, ThreadScratch};
use crate::work::Work;

/// Type and shape of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact(pub(crate) TypedFact);

impl Fact {
    /// Values of `T` in this shape.
    pub fn new<T: Element>(shape: &[usize]) -> Self {
        Self(T::fact(shape))
    }

    /// Values of f32 in this shape.
    pub fn f32<const N: usize>(shape: [usize; N]) -> Self {
        Self::new::<f32>(&shape)
    }

    /// Values of i8 in this shape.
    pub fn i8<const N: usize>(shape: [usize; N]) -> Self {
        Self::new::<i8>(&shape)
    }
}

/// One operator of a graph: what it needs and what it computes.
pub trait Layer: Debug + Send + Sync + 'static {
    /// The layer's name, as traces have it.
    fn name(&self) -> &'static str;

    /// Types and shapes of the outputs.
    fn outputs(&self) -> Vec<Fact>;

    /// Memory needed while the layer runs.
    fn scratch(&self) -> Need {
        Need::default()
    }

    /// How much it computes.
    fn work(&self) -> Work {
        Work::default()
    }

    /// The input whose buffer the first output takes over, contents included.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// Computes the outputs, all of every one: their buffers and the scratch memory hold anything. An input taken over is not among the inputs.
    ///
    /// # Errors
    /// Inputs or outputs of another type than the layer says, or values that it does not take.
    fn run(&self, session: &Session, io: &mut Io<'_>) -> Result<(), GraphError>;

    /// Hands what was computed to a trace, after a run: here the one output as it is. Layers with several results, results with padding, or
    /// results elsewhere do it themselves.
    ///
    /// # Errors
    /// Outputs of another type than the layer says.
    fn record(&self, results: &Results<'_>, record: &mut Record<'_>) -> Result<(), GraphError> {
        record.tensor("", results.shape(0)?, Values::F32(results.output(0)?));
        Ok(())
    }
}

/// A value of a graph: its type, its shape and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) dtype: DatumType,
    pub(crate) shape: TVec<usize>,
    pub(crate) place: Place,
}

impl Value {
    /// A problem if it is not of type `T`.
    pub(crate) fn check<T: Element>(&self, what: &'static str, index: usize) -> Result<(), GraphError> {
        let same = self.dtype == T::datum_type();
        if same { Ok(()) } else { Err(GraphError::Access { what, index, problem: "is of another type" }) }
    }
}

/// What lies in one part of the memory while a layer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// All inputs at this place.
    Input,
    /// An output; of one that is taken over it is an input's.
    Output(usize),
    Scratch,
}

/// The values of one node. Those that a layer takes over are among the outputs only.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeValues {
    pub(crate) inputs: TVec<Value>,
    pub(crate) outputs: TVec<Value>,
    pub(crate) scratch: Option<Place>,
    /// What of the scratch memory is each thread's.
    pub(crate) need: Need,
    pub(crate) in_place: bool,
    /// Disjoint parts of the memory, in order.
    pub(crate) parts: Vec<(Place, Role)>,
}

impl NodeValues {
    /// Sorts the places; an error if an output or the scratch shares bytes with another value.
    pub(crate) fn finish(&mut self) -> TractResult<()> {
        let inputs = self.inputs.iter().map(|value| (value.place, Role::Input));
        let outputs = self.outputs.iter().enumerate().map(|(i, value)| (value.place, Role::Output(i)));
        let mut parts: Vec<(Place, Role)> = inputs.chain(outputs).chain(self.scratch.iter().map(|&place| (place, Role::Scratch))).collect();
        parts.retain(|(place, _)| place.bytes > 0);
        parts.sort_by_key(|(place, _)| place.offset);
        parts.dedup();
        ensure!(parts.windows(2).all(|pair| pair[0].0.offset + pair[0].0.bytes <= pair[1].0.offset), "buffers overlap");
        self.parts = parts;
        Ok(())
    }
}

/// The buffers of one run of a layer.
#[derive(Debug)]
pub struct Io<'a> {
    node: &'a NodeValues,
    inputs: TVec<&'a [u8]>,
    outputs: TVec<Option<&'a mut [u8]>>,
    shared: Scratch<'a>,
    threads: Option<ThreadScratch<'a>>,
}

impl<'a> Io<'a> {
    /// Splits the memory into a node's buffers.
    pub(crate) fn new(mut memory: &'a mut [u8], node: &'a NodeValues) -> Result<Self, GraphError> {
        let mut io = Self {
            node,
            inputs: node.inputs.iter().map(|_| Default::default()).collect(),
            outputs: node.outputs.iter().map(|_| Some(Default::default())).collect(),
            shared: Scratch::new(Default::default()),
            threads: None,
        };
        let mut at = 0;
        for &(place, role) in &node.parts {
            let ends = GraphError::Layer("memory ends before a buffer does");
            let part = memory.split_off_mut(..place.offset - at + place.bytes).ok_or(ends)?;
            let part = &mut part[place.offset - at..];
            at = place.offset + place.bytes;
            if cfg!(debug_assertions) && role != Role::Input && !(node.in_place && role == Role::Output(0)) {
                // What a layer does not write shows.
                part.fill(0xff);
            }
            match role {
                Role::Output(index) => io.outputs[index] = Some(part),
                Role::Scratch => {
                    let (shared, threads) = part.split_at_mut(node.need.shared);
                    io.shared = Scratch::new(shared);
                    io.threads = Some(ThreadScratch::new(threads, node.need.thread));
                }
                Role::Input => {
                    let part = &*part;
                    for (input, _) in io.inputs.iter_mut().zip(&node.inputs).filter(|(_, value)| value.place == place) {
                        *input = part;
                    }
                }
            }
        }
        Ok(io)
    }

    /// Number of inputs, without one that is taken over.
    pub fn inputs(&self) -> usize {
        self.inputs.len()
    }

    /// The values of an input.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such input, or it is of another type.
    pub fn input<T: Element>(&self, index: usize) -> Result<&'a [T], GraphError> {
        let wrong = |problem| GraphError::Access { what: "input", index, problem };
        let (value, bytes) = self.node.inputs.get(index).zip(self.inputs.get(index)).ok_or_else(|| wrong("there is none"))?;
        value.check::<T>("input", index)?;
        bytemuck::try_cast_slice(bytes).map_err(|_| wrong("is not aligned"))
    }

    /// The shape of an input.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such input.
    pub fn input_shape(&self, index: usize) -> Result<&'a [usize], GraphError> {
        let none = GraphError::Access { what: "input", index, problem: "there is none" };
        self.node.inputs.get(index).map(|value| &value.shape[..]).ok_or(none)
    }

    /// The buffer of an output, once.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such output, it is of another type, or was asked for before.
    pub fn output<T: Element>(&mut self, index: usize) -> Result<&'a mut [T], GraphError> {
        let wrong = |problem| GraphError::Access { what: "output", index, problem };
        let (value, bytes) = self.node.outputs.get(index).zip(self.outputs.get_mut(index)).ok_or_else(|| wrong("there is none"))?;
        value.check::<T>("output", index)?;
        bytemuck::try_cast_slice_mut(bytes.take().ok_or_else(|| wrong("is taken"))?).map_err(|_| wrong("is not aligned"))
    }

    /// The next piece of the scratch memory that is asked for once: `count` values of `T`.
    ///
    /// # Panics
    /// If the layer asked for less than it takes: a bug of the layer.
    pub fn scratch<T: Element>(&mut self, count: usize) -> &'a mut [T] {
        self.shared.take(count)
    }

    /// Each thread's scratch memory; none if it was taken before.
    pub fn thread_scratch(&mut self) -> ThreadScratch<'a> {
        self.threads.take().unwrap_or_default()
    }
}

/// What a layer computed.
#[derive(Debug)]
pub struct Results<'a> {
    pub(crate) memory: &'a [u8],
    pub(crate) outputs: &'a [Value],
}

impl<'a> Results<'a> {
    fn value(&self, index: usize) -> Result<&'a Value, GraphError> {
        self.outputs.get(index).ok_or(GraphError::Access { what: "output", index, problem: "there is none" })
    }

    /// The values of an output.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such output, or it is of another type.
    pub fn output<T: Element>(&self, index: usize) -> Result<&'a [T], GraphError> {
        let value = self.value(index)?;
        value.check::<T>("output", index)?;
        let wrong = |_| GraphError::Access { what: "output", index, problem: "is not aligned" };
        bytemuck::try_cast_slice(value.place.of(self.memory)).map_err(wrong)
    }

    /// The shape of an output.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such output.
    pub fn shape(&self, index: usize) -> Result<&'a [usize], GraphError> {
        Ok(&self.value(index)?.shape)
    }
}
