//! A graph of layers on tract's plan, every value at a place in one memory.
//!
//! tract's plan allocates nothing in a run, but operators that make fresh tensors do. So what goes from node to node are handles made
//! beforehand; the values lie in a [`Memory`], at places that buffers share when their lives do not overlap, whatever their types and shapes.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tract_core::internal::*;
use tract_core::ops::source::TypedSource;

use crate::Session;
use crate::arena::{Buffer, InArena, Memory, Place, place};
use crate::error::GraphError;
use crate::layer::{Io, Layer, NodeValues, Results, Value};
use crate::scratch::Need;
use crate::work::Work;

/// The tract operator around a [`Layer`].
#[derive(Clone)]
pub(crate) struct SlotOp {
    layer: Arc<dyn Layer>,
    shared: Arc<Shared>,
}

impl SlotOp {
    /// A node that computes what `layer` does, in the memory of `shared`.
    pub(crate) fn new(layer: Arc<dyn Layer>, shared: &Arc<Shared>) -> Self {
        Self { layer, shared: Arc::clone(shared) }
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

    fn eval(&self, ctx: &EvalContext, _: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let node = self.shared.nodes.get().and_then(|nodes| nodes.get(ctx.node_id)).context("places are not planned")?;
        let mut memory = self.shared.memory();
        self.layer.run(&self.shared.session, &mut Io::new(memory.get_mut(), &node.values)?)?;
        if let Some(mut listener) = self.shared.session.recorder().listener() {
            let results = Results { memory: memory.get(), outputs: &node.values.outputs };
            self.layer.record(&results, &mut listener.record(&node.name, self.layer.name()))?;
        }
        Ok(node.handles.iter().map(|handle| TValue::from_const(Arc::clone(handle))).collect())
    }
}

impl TypedOp for SlotOp {
    as_op!();

    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.layer.outputs().into_iter().map(|fact| fact.0).collect())
    }
}

/// A node of a planned graph.
#[derive(Debug, Default)]
struct Node {
    name: String,
    values: NodeValues,
    /// What the outputs are for tract.
    handles: TVec<Arc<Tensor>>,
}

/// What the nodes of one graph share.
#[derive(Debug)]
pub(crate) struct Shared {
    session: Arc<Session>,
    nodes: OnceLock<Vec<Node>>,
    /// Empty but for the time of a run.
    memory: Mutex<Memory>,
}

impl Shared {
    pub(crate) fn new(session: &Arc<Session>) -> Self {
        Self { session: Arc::clone(session), nodes: OnceLock::new(), memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A graph whose buffers have their places.
#[derive(Debug)]
pub(crate) struct Plan {
    state: TypedSimpleState,
    shared: Arc<Shared>,
    handles: TVec<Arc<Tensor>>,
    pub(crate) inputs: TVec<Value>,
    pub(crate) outputs: TVec<Value>,
    /// Bytes of the memory.
    pub(crate) bytes: usize,
}

impl Plan {
    /// Plans a model whose layers were wired with `shared`.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if tract refuses the model, it holds another operator than [`SlotOp`] and tract's source, which is named, or a layer
    /// takes over an input that is read later.
    pub(crate) fn new(model: TypedModel, shared: Arc<Shared>) -> Result<Self, GraphError> {
        for node in model.nodes() {
            if !node.op_is::<TypedSource>() && !node.op_is::<SlotOp>() {
                let problem = format!("node {} has operator {}, which is not one of ours", node.name, node.op.name());
                return Err(GraphError::Plan(problem));
            }
        }
        let plan = TypedSimplePlan::new(model)?;
        let (nodes, bytes) = assign(&plan, shared.session.threads())?;
        let model = plan.model();
        let value = |outlet: &OutletId| nodes[outlet.node].values.outputs[outlet.slot].clone();
        let inputs: TVec<Value> = model.input_outlets()?.iter().map(value).collect();
        let outputs = model.output_outlets()?.iter().map(value).collect();
        let handles = inputs.iter().map(|value| InArena::tensor(value.dtype, &value.shape, value.place)).collect();
        let state = plan.spawn()?;
        if shared.nodes.set(nodes).is_err() {
            return Err(GraphError::Plan("places were planned twice".into()));
        }
        Ok(Self { state, shared, handles, inputs, outputs, bytes })
    }

    /// Each layer in the order of the run: the node's name, the layer's, and how much it computes.
    pub(crate) fn work(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        let plan = self.state.plan();
        let nodes = plan.order_without_consts().iter().map(move |&id| &plan.model().nodes()[id]);
        nodes.filter_map(|node| Some((&*node.name, node.op_as::<SlotOp>()?))).map(|(name, op)| (name, op.layer.name(), op.layer.work()))
    }

    /// Runs the graph in `memory`, which holds its inputs and is large enough.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if a layer fails.
    pub(crate) fn run(&mut self, memory: &mut Memory) -> Result<(), GraphError> {
        *self.shared.memory() = std::mem::take(memory);
        let result = self.state.run(self.handles.iter().map(|handle| TValue::from_const(Arc::clone(handle))).collect());
        *memory = std::mem::take(&mut *self.shared.memory());
        Ok(result.map(drop)?)
    }
}

/// Buffers while they are planned.
#[derive(Default)]
struct Buffers {
    all: Vec<Buffer>,
    facts: Vec<(DatumType, TVec<usize>)>,
}

impl Buffers {
    /// Adds one that is alive from step `first` to step `last`.
    fn add(&mut self, fact: &TypedFact, first: usize, last: usize) -> TractResult<usize> {
        let shape = fact.shape.as_concrete().context("a value's shape is symbolic")?;
        let bytes = shape.iter().fold(fact.datum_type.size_of(), |bytes, &n| bytes.saturating_mul(n));
        Ok(self.add_values(fact.datum_type, shape.into(), bytes, (first, last)))
    }

    fn add_values(&mut self, dtype: DatumType, shape: TVec<usize>, bytes: usize, (first, last): (usize, usize)) -> usize {
        self.facts.push((dtype, shape));
        self.all.push(Buffer { bytes, first, last });
        self.all.len() - 1
    }
}

/// The buffers of one node.
#[derive(Default)]
struct NodeBuffers {
    outputs: TVec<usize>,
    scratch: Option<usize>,
    need: Need,
}

/// Gives each value a place that no other value has as long as it is needed: inputs of the graph from the start, outputs of the graph to the
/// end, everything else until the last node that reads it has run.
fn assign(plan: &TypedSimplePlan, threads: usize) -> TractResult<(Vec<Node>, usize)> {
    let model = plan.model();
    let order = plan.order_without_consts();
    let step_of: HashMap<usize, usize> = order.iter().enumerate().map(|(step, &node)| (node, step)).collect();
    let results = model.output_outlets()?;
    let mut of: Vec<NodeBuffers> = model.nodes().iter().map(|_| NodeBuffers::default()).collect();
    let mut buffers = Buffers::default();
    for (step, &id) in order.iter().enumerate() {
        let node = &model.nodes()[id];
        let op = node.op_as::<SlotOp>();
        for (outlet, output) in node.outputs.iter().enumerate() {
            let readers = output.successors.iter().filter_map(|inlet| step_of.get(&inlet.node).copied());
            let last = if results.contains(&OutletId::new(id, outlet)) { usize::MAX } else { readers.max().unwrap_or(step) };
            let taken_over = op.and_then(|op| op.layer.in_place()).filter(|_| outlet == 0);
            let buffer = match taken_over {
                Some(input) => {
                    let source = *node.inputs.get(input).context("an input taken over does not exist")?;
                    let read_later = |inlet: &InletId| step_of.get(&inlet.node).is_some_and(|&other| other > step);
                    let wanted = results.contains(&source) || model.outlet_successors(source).iter().any(read_later);
                    ensure!(!wanted, "{} takes over an input read later", node.name);
                    let buffer = *of[source.node].outputs.get(source.slot).context("an input taken over has no buffer")?;
                    let same = model.outlet_fact(source)?.shape == output.fact.shape;
                    ensure!(same && buffers.facts[buffer].0 == output.fact.datum_type, "{} takes over another shape", node.name);
                    buffers.all[buffer].last = last;
                    buffer
                }
                // Inputs are written before the first step.
                None => buffers.add(&output.fact, if op.is_some() { step } else { 0 }, last)?,
            };
            of[id].outputs.push(buffer);
        }
        of[id].need = op.map(|op| op.layer.scratch()).unwrap_or_default();
        let bytes = of[id].need.bytes(threads);
        of[id].scratch = (bytes > 0).then(|| buffers.add_values(u8::datum_type(), tvec!(bytes), bytes, (step, step)));
    }
    let (offsets, bytes) = place(&buffers.all);
    let value = |buffer: usize| {
        let (dtype, shape) = buffers.facts[buffer].clone();
        Value { dtype, shape, place: Place { offset: offsets[buffer], bytes: buffers.all[buffer].bytes } }
    };
    let mut nodes: Vec<Node> = vec![];
    for (node, own) in model.nodes().iter().zip(&of) {
        let in_place = node.op_as::<SlotOp>().and_then(|op| op.layer.in_place());
        let read = node.inputs.iter().enumerate().filter(|(index, _)| Some(*index) != in_place);
        let mut values = NodeValues {
            inputs: read.map(|(_, source)| value(of[source.node].outputs[source.slot])).collect(),
            outputs: own.outputs.iter().map(|&buffer| value(buffer)).collect(),
            scratch: own.scratch.map(|buffer| value(buffer).place),
            need: own.need,
            in_place: in_place.is_some(),
            parts: vec![],
        };
        if bytes < usize::MAX {
            values.finish().with_context(|| format!("values of {}", node.name))?;
        }
        let handles = values.outputs.iter().map(|value| InArena::tensor(value.dtype, &value.shape, value.place)).collect();
        nodes.push(Node { name: node.name.clone(), values, handles });
    }
    Ok((nodes, bytes))
}
