//! A graph of kernels on tract's plan, every output in a slot planned beforehand.
//!
//! tract's plan allocates nothing per run, but operators that make fresh tensors do. So each output lives in a slot: a tensor that is
//! written in place while nobody else holds it, and handed to the plan as another handle. Outputs of equal type and shape share a slot when
//! their lifetimes do not overlap.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ossicle_trace::Values;
use tract_core::internal::*;
use tract_core::ops::source::TypedSource;

use crate::error::GraphError;
use crate::recorder::{Record, Recorder};

/// One operator of a graph: what it needs and what it computes.
pub trait Layer: Debug + Send + Sync + 'static {
    /// The layer's name, as traces have it.
    fn name(&self) -> &'static str;

    /// Types and shapes of the outputs.
    fn outputs(&self) -> TVec<TypedFact>;

    /// A buffer needed while the layer runs.
    fn scratch(&self) -> Option<TypedFact> {
        None
    }

    /// The input whose buffer the first output takes over, contents included.
    fn in_place(&self) -> Option<usize> {
        None
    }

    /// Computes the outputs. An input taken over is not among `inputs`.
    ///
    /// # Errors
    /// Inputs, outputs or scratch of another type than the layer says, or values that it does not take.
    fn run(&self, inputs: &[TValue], outputs: &mut [&mut Tensor], scratch: Option<&mut Tensor>) -> TractResult<()>;

    /// Hands what was computed to a trace, after a run: here the one output as it is. Operators with several results, results with
    /// padding, or results elsewhere do it themselves.
    ///
    /// # Errors
    /// Outputs of another type than the layer says.
    fn record(&self, outputs: &[Arc<Tensor>], record: &mut Record<'_>) -> TractResult<()> {
        let [output] = outputs else { bail!("{} records no outputs", self.name()) };
        record.tensor("", output.shape(), Values::F32(output.try_as_plain_ram()?.as_slice()?));
        Ok(())
    }
}

/// The tract operator around a [`Layer`].
#[derive(Clone)]
pub(crate) struct SlotOp {
    layer: Arc<dyn Layer>,
    slots: Arc<Slots>,
}

impl SlotOp {
    /// A node that computes what `layer` does, in buffers of `slots`.
    pub(crate) fn new(layer: Arc<dyn Layer>, slots: &Arc<Slots>) -> Self {
        Self { layer, slots: Arc::clone(slots) }
    }
}

impl Debug for SlotOp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.layer.fmt(f)
    }
}

impl PartialEq for SlotOp {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.layer, &other.layer)
    }
}

impl Eq for SlotOp {}

impl std::hash::Hash for SlotOp {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.layer).cast::<()>().hash(state);
    }
}

impl Op for SlotOp {
    fn name(&self) -> StaticName {
        self.layer.name().into()
    }

    op_as_typed_op!();
}

impl EvalOp for SlotOp {
    not_out_of_plan!();

    fn eval(&self, ctx: &EvalContext, mut inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let slots = self.slots.assigned(ctx.node_id)?;
        if let Some(input) = self.layer.in_place() {
            // The plan has dropped its own handle by now; with this one gone the slot is ours.
            inputs.remove(input);
        }
        let mut held: TVec<Arc<Tensor>> = tvec![];
        for &slot in &slots.outputs {
            held.push(self.slots.take(slot)?);
        }
        let mut scratch = slots.scratch.map(|slot| self.slots.take(slot)).transpose()?;
        let result = {
            let mut outputs: TVec<&mut Tensor> = tvec![];
            for tensor in &mut held {
                outputs.push(Arc::get_mut(tensor).ok_or_else(|| format_err!("a slot of node {} is still in use", ctx.node_id))?);
            }
            let scratch = match &mut scratch {
                Some(tensor) => Some(Arc::get_mut(tensor).ok_or_else(|| format_err!("scratch of node {} is in use", ctx.node_id))?),
                None => None,
            };
            self.layer.run(&inputs, &mut outputs, scratch)
        };
        if let Some((tensor, slot)) = scratch.zip(slots.scratch) {
            self.slots.put(slot, tensor);
        }
        if result.is_ok()
            && let Some(mut listener) = self.slots.recorder.listener()
        {
            self.layer.record(&held, &mut listener.record(&slots.name, self.layer.name()))?;
        }
        let mut values: TVec<TValue> = tvec![];
        for (tensor, &slot) in held.into_iter().zip(&slots.outputs) {
            values.push(TValue::from_const(Arc::clone(&tensor)));
            self.slots.put(slot, tensor);
        }
        result?;
        Ok(values)
    }
}

impl TypedOp for SlotOp {
    as_op!();

    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.layer.outputs())
    }
}

/// Where one node's results go.
#[derive(Clone, Debug, Default)]
struct NodeSlots {
    name: String,
    outputs: Vec<usize>,
    scratch: Option<usize>,
}

/// The buffers of one plan.
#[derive(Debug)]
pub(crate) struct Slots {
    recorder: Arc<Recorder>,
    nodes: OnceLock<Vec<NodeSlots>>,
    tensors: OnceLock<Vec<Mutex<Option<Arc<Tensor>>>>>,
}

impl Slots {
    /// None yet: they are made when the plan is built. Results go to `recorder`.
    pub(crate) fn new(recorder: &Arc<Recorder>) -> Self {
        Self { recorder: Arc::clone(recorder), nodes: OnceLock::new(), tensors: OnceLock::new() }
    }

    fn assigned(&self, node: usize) -> TractResult<&NodeSlots> {
        self.nodes.get().and_then(|nodes| nodes.get(node)).context("slots are not planned")
    }

    fn take(&self, slot: usize) -> TractResult<Arc<Tensor>> {
        let tensors = self.tensors.get().context("slots are not planned")?;
        tensors[slot].lock().unwrap_or_else(PoisonError::into_inner).take().with_context(|| format!("slot {slot} is taken"))
    }

    fn put(&self, slot: usize, tensor: Arc<Tensor>) {
        if let Some(tensors) = self.tensors.get() {
            *tensors[slot].lock().unwrap_or_else(PoisonError::into_inner) = Some(tensor);
        }
    }
}

/// A graph ready to run.
#[derive(Debug)]
pub(crate) struct Plan {
    state: TypedSimpleState,
    bytes: usize,
}

impl Plan {
    /// Plans the slots of a model whose operators were made with `slots`, and makes them if they take at most `most` bytes.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if tract refuses the model, or it holds another operator than [`SlotOp`] and tract's source, which is named;
    /// [`GraphError::Memory`] if the slots take more.
    pub(crate) fn build(model: TypedModel, slots: &Arc<Slots>, most: usize) -> Result<Self, GraphError> {
        for node in model.nodes() {
            if !node.op_is::<TypedSource>() && !node.op_is::<SlotOp>() {
                let problem = format!("node {} has operator {}, which is not one of ours", node.name, node.op.name());
                return Err(GraphError::Plan(problem));
            }
        }
        let plan = TypedSimplePlan::new(model)?;
        let (nodes, facts) = assign(&plan)?;
        let mut bytes = 0usize;
        for fact in &facts {
            bytes = bytes.saturating_add(self::bytes(fact)?);
        }
        if bytes > most {
            return Err(GraphError::Memory { needed: bytes, most });
        }
        let mut tensors = Vec::with_capacity(facts.len());
        for fact in &facts {
            tensors.push(Mutex::new(Some(Arc::new(zeros(fact)?))));
        }
        let planned = slots.nodes.set(nodes).is_ok() && slots.tensors.set(tensors).is_ok();
        if !planned {
            return Err(GraphError::Plan("slots were planned twice".into()));
        }
        Ok(Self { state: plan.spawn()?, bytes })
    }

    /// Bytes of all slots.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Runs the graph; the outputs must be dropped before the next run.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if a layer fails, or a buffer is still in use: bugs of ours.
    pub(crate) fn run(&mut self, inputs: TVec<TValue>) -> Result<TVec<TValue>, GraphError> {
        Ok(self.state.run(inputs)?)
    }
}

/// Bytes of a value.
pub(crate) fn bytes(fact: &TypedFact) -> TractResult<usize> {
    let shape = fact.shape.as_concrete().context("a value's shape is symbolic")?;
    Ok(shape.iter().fold(fact.datum_type.size_of(), |bytes, &n| bytes.saturating_mul(n)))
}

/// A buffer for a value.
pub(crate) fn zeros(fact: &TypedFact) -> TractResult<Tensor> {
    Tensor::zero_aligned_dt(fact.datum_type, fact.shape.as_concrete().context("a value's shape is symbolic")?, 64)
}

/// Gives each output a slot: one that is free for as long as the output lives, of the same type and shape, or a new one.
fn assign(plan: &TypedSimplePlan) -> TractResult<(Vec<NodeSlots>, Vec<TypedFact>)> {
    let model = plan.model();
    let order = plan.order_without_consts();
    let step_of: std::collections::HashMap<usize, usize> = order.iter().enumerate().map(|(step, &node)| (node, step)).collect();
    let results = model.output_outlets()?;
    let mut nodes = vec![NodeSlots::default(); model.nodes().len()];
    let mut facts: Vec<TypedFact> = vec![];
    // For each slot, the last step that reads it.
    let mut busy_until: Vec<usize> = vec![];
    for (step, &id) in order.iter().enumerate() {
        let node = &model.nodes()[id];
        let Some(op) = node.op_as::<SlotOp>() else { continue };
        let last_use = |outlet: usize| {
            let readers = node.outputs[outlet].successors.iter().filter_map(|inlet| step_of.get(&inlet.node).copied());
            if results.contains(&OutletId::new(id, outlet)) { usize::MAX } else { readers.max().unwrap_or(step) }
        };
        let mut assigned = NodeSlots { name: node.name.clone(), ..NodeSlots::default() };
        for outlet in 0..node.outputs.len() {
            let taken_over = op.layer.in_place().filter(|_| outlet == 0);
            let slot = match taken_over {
                Some(input) => {
                    let source = node.inputs[input];
                    let read_later = |inlet: &InletId| step_of.get(&inlet.node).is_some_and(|&other| other > step);
                    ensure!(!model.outlet_successors(source).iter().any(read_later), "{} takes over an input read later", node.name);
                    nodes[source.node].outputs.get(source.slot).copied().context("an input taken over has no slot")?
                }
                None => find(&mut facts, &mut busy_until, step, &node.outputs[outlet].fact),
            };
            busy_until[slot] = last_use(outlet);
            assigned.outputs.push(slot);
        }
        assigned.scratch = op.layer.scratch().map(|fact| {
            let slot = find(&mut facts, &mut busy_until, step, &fact);
            busy_until[slot] = step;
            slot
        });
        nodes[id] = assigned;
    }
    Ok((nodes, facts))
}

/// A slot for `fact` that nobody reads from `step` on.
fn find(facts: &mut Vec<TypedFact>, busy_until: &mut Vec<usize>, step: usize, fact: &TypedFact) -> usize {
    let free = |slot: &usize| {
        let other: &TypedFact = &facts[*slot];
        busy_until[*slot] < step && other.datum_type == fact.datum_type && other.shape == fact.shape
    };
    (0..facts.len()).find(free).unwrap_or_else(|| {
        facts.push(fact.without_value());
        busy_until.push(step);
        facts.len() - 1
    })
}
