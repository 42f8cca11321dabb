//! Graphs: built layer by layer, then run again and again.

use std::sync::Arc;

use bytemuck::Pod;
use tract_core::internal::*;

use crate::error::GraphError;
use crate::plan::{Layer, Plan, SlotOp, Slots};
use crate::recorder::Recorder;

/// A type of values in buffers: f32, i32, i8 or u8.
pub trait Element: Datum + Pod {}

impl Element for f32 {}
impl Element for i32 {}
impl Element for i8 {}
impl Element for u8 {}

/// A value of a graph that is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlet(OutletId);

/// What a layer gives.
pub type Outlets = TVec<Outlet>;

/// Wires layers to a graph.
///
/// ```
/// use std::sync::Arc;
///
/// use ossicle_engine::graph::GraphBuilder;
/// use ossicle_engine::plan::Layer;
/// use tract_core::internal::*;
///
/// /// Twice each value.
/// #[derive(Debug)]
/// struct Twice(usize);
///
/// impl Layer for Twice {
///     fn name(&self) -> &'static str {
///         "Twice"
///     }
///
///     fn outputs(&self) -> TVec<TypedFact> {
///         tvec!(f32::fact([self.0]))
///     }
///
///     fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], _: Option<&mut Tensor>) -> TractResult<()> {
///         let x = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
///         let out: &mut [f32] = bytemuck::cast_slice_mut(outputs[0].as_bytes_mut());
///         for (out, x) in out.iter_mut().zip(x) {
///             *out = 2.0 * x;
///         }
///         Ok(())
///     }
/// }
///
/// let mut graph = GraphBuilder::new(&Arc::default());
/// let x = graph.input::<f32>("x", &[3])?;
/// let twice = graph.add("twice", Twice(3), &[x])?[0];
/// let mut runner = graph.finish(&[twice], usize::MAX)?;
/// runner.input_mut::<f32>(0)?.copy_from_slice(&[1.0, 2.0, 3.0]);
/// runner.run()?;
/// assert_eq!(runner.output::<f32>(0)?, [2.0, 4.0, 6.0]);
/// assert!(runner.output::<i32>(0).is_err() && runner.output::<f32>(1).is_err());
/// # Ok::<(), ossicle_engine::GraphError>(())
/// ```
#[derive(Debug)]
pub struct GraphBuilder {
    model: TypedModel,
    slots: Arc<Slots>,
}

impl GraphBuilder {
    /// A graph without layers, whose results go to `recorder`.
    pub fn new(recorder: &Arc<Recorder>) -> Self {
        Self { model: TypedModel::default(), slots: Arc::new(Slots::new(recorder)) }
    }

    /// Adds an input of type `T`; inputs count from 0 in the order they are added.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if the name is taken.
    pub fn input<T: Element>(&mut self, name: &str, shape: &[usize]) -> Result<Outlet, GraphError> {
        Ok(Outlet(self.model.add_source(name, T::fact(shape))?))
    }

    /// Adds a layer, named in traces, that reads `inputs`.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if the name is taken.
    pub fn add(&mut self, name: impl Into<String>, layer: impl Layer, inputs: &[Outlet]) -> Result<Outlets, GraphError> {
        self.add_shared(name, Arc::new(layer), inputs)
    }

    /// As [`add`](Self::add), of a layer whose type is not known.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_shared(&mut self, name: impl Into<String>, layer: Arc<dyn Layer>, inputs: &[Outlet]) -> Result<Outlets, GraphError> {
        let inputs: TVec<OutletId> = inputs.iter().map(|outlet| outlet.0).collect();
        let outlets = self.model.wire_node(name, SlotOp::new(layer, &self.slots), &inputs)?;
        Ok(outlets.into_iter().map(Outlet).collect())
    }

    /// Plans every buffer and makes them, if they take at most `limit` bytes; none is made otherwise. Outputs count from 0 in the order given.
    ///
    /// # Errors
    /// [`GraphError::Memory`] if they take more; [`GraphError::Plan`] if a layer takes over an input that is read later.
    pub fn finish(mut self, outputs: &[Outlet], limit: usize) -> Result<Runner, GraphError> {
        let outputs: TVec<OutletId> = outputs.iter().map(|outlet| outlet.0).collect();
        self.model.select_output_outlets(&outputs)?;
        let facts: Vec<TypedFact> =
            self.model.input_outlets()?.iter().map(|&input| Ok(self.model.outlet_fact(input)?.clone())).collect::<TractResult<_>>()?;
        let mut bytes = 0usize;
        for fact in &facts {
            bytes = bytes.saturating_add(crate::plan::bytes(fact)?);
        }
        let Some(left) = limit.checked_sub(bytes) else { return Err(GraphError::Memory { needed: bytes, most: limit }) };
        let plan = Plan::build(self.model, &self.slots, left).map_err(|error| match error {
            GraphError::Memory { needed, .. } => GraphError::Memory { needed: needed.saturating_add(bytes), most: limit },
            other => other,
        })?;
        let inputs = facts.iter().map(|fact| Ok(Arc::new(crate::plan::zeros(fact)?))).collect::<TractResult<_>>()?;
        Ok(Runner { bytes: plan.bytes() + bytes, plan, inputs, outputs: tvec!() })
    }
}

/// A graph ready to run, with all its buffers.
#[derive(Debug)]
pub struct Runner {
    plan: Plan,
    inputs: TVec<Arc<Tensor>>,
    outputs: TVec<TValue>,
    bytes: usize,
}

impl Runner {
    /// The values of an input, for the caller to write. They are zero at first and stay as they are between runs.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such input, or it is of another type.
    pub fn input_mut<T: Element>(&mut self, index: usize) -> Result<&mut [T], GraphError> {
        let wrong = |problem| GraphError::Access { what: "input", index, problem };
        let input = self.inputs.get_mut(index).ok_or_else(|| wrong("there is none"))?;
        if input.datum_type() != T::datum_type() {
            return Err(wrong("is of another type"));
        }
        let input = Arc::get_mut(input).ok_or_else(|| wrong("is still in use"))?;
        bytemuck::try_cast_slice_mut(input.as_bytes_mut()).map_err(|_| wrong("is not aligned"))
    }

    /// Computes the outputs from the inputs. Allocates nothing once it has run for the first time.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if a layer fails.
    pub fn run(&mut self) -> Result<(), GraphError> {
        // Their buffers are the next run's.
        self.outputs.clear();
        self.outputs = self.plan.run(self.inputs.iter().map(|input| TValue::from_const(Arc::clone(input))).collect())?;
        Ok(())
    }

    /// The values of an output, as the last run left them.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such output, it is of another type, or nothing has run yet.
    pub fn output<T: Element>(&self, index: usize) -> Result<&[T], GraphError> {
        let wrong = |problem| GraphError::Access { what: "output", index, problem };
        let output = self.outputs.get(index).ok_or_else(|| wrong("there is none, or nothing has run"))?;
        let plain = output.try_as_plain_ram()?;
        plain.as_slice::<T>().map_err(|_| wrong("is of another type"))
    }

    /// Bytes of all buffers, the inputs' among them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
