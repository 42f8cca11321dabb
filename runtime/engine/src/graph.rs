//! Graphs: built layer by layer, then run again and again.

use std::sync::Arc;

use tract_core::internal::*;

use crate::Session;
use crate::arena::{ALIGN, Memory};
use crate::error::GraphError;
use crate::layer::{Element, Layer};
use crate::plan::{Plan, Shared, SlotOp};
use crate::work::Work;

/// A value of a graph that is being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlet(OutletId);

/// What a layer gives.
pub type Outlets = TVec<Outlet>;

/// Wires layers to a graph.
///
/// ```
/// use ossicle_engine::graph::GraphBuilder;
/// use ossicle_engine::layer::{Fact, Io, Layer};
/// use ossicle_engine::weights::Weights;
/// use ossicle_engine::{GraphError, Options, Session};
/// use ossicle_kernels::simd::Isa;
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
///     fn outputs(&self) -> Vec<Fact> {
///         vec![Fact::f32([self.0])]
///     }
///
///     fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
///         for (out, x) in io.output::<f32>(0)?.iter_mut().zip(io.input::<f32>(0)?) {
///             *out = 2.0 * x;
///         }
///         Ok(())
///     }
/// }
///
/// let session = Session::new(&Weights::none(), Options { isa: Isa::detect(), threads: 1 });
/// let mut graph = GraphBuilder::new(&session);
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
    shared: Arc<Shared>,
}

impl GraphBuilder {
    /// A graph without layers, which will run in `session`.
    pub fn new(session: &Arc<Session>) -> Self {
        Self { model: TypedModel::default(), shared: Arc::new(Shared::new(session)) }
    }

    /// Adds an input of type `T`; inputs count from 0 in the order they are added.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if tract refuses it.
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
        let outlets = self.model.wire_node(name, SlotOp::new(layer, &self.shared), &inputs)?;
        Ok(outlets.into_iter().map(Outlet).collect())
    }

    /// Plans every buffer. Outputs count from 0 in the order given. The graph has no memory yet: it says how much it needs, and runs once it has
    /// been given some.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if a layer takes over an input that is read later.
    pub fn plan(mut self, outputs: &[Outlet]) -> Result<Runner, GraphError> {
        let outputs: TVec<OutletId> = outputs.iter().map(|outlet| outlet.0).collect();
        self.model.select_output_outlets(&outputs)?;
        Ok(Runner { plan: Plan::new(self.model, self.shared)?, memory: Memory::default(), ran: false })
    }

    /// As [`plan`](Self::plan), with memory, if it takes at most `limit` bytes; none is taken otherwise.
    ///
    /// # Errors
    /// As [`plan`](Self::plan), or [`GraphError::Memory`].
    pub fn finish(self, outputs: &[Outlet], limit: usize) -> Result<Runner, GraphError> {
        let mut runner = self.plan(outputs)?;
        // No allocation is larger than `isize::MAX`.
        if runner.bytes() > limit.min(isize::MAX.unsigned_abs()) {
            return Err(GraphError::Memory { needed: runner.bytes(), most: limit });
        }
        runner.attach(Memory::default());
        Ok(runner)
    }
}

/// A graph ready to run.
///
/// Its inputs, outputs and everything between lie in one memory, where each has a place for as long as it is needed. So inputs have to be written
/// whole before each run, and outputs are there until something is written for the next. Graphs that never run at the same time can pass
/// one memory on ([`detach`](Self::detach), [`attach`](Self::attach)): it grows to the largest one's need.
#[derive(Debug)]
pub struct Runner {
    plan: Plan,
    memory: Memory,
    /// Outputs are there.
    ran: bool,
}

impl Runner {
    /// The values of an input, for the caller to write, all of them. Outputs are gone then.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such input, it is of another type, or the graph has no memory.
    pub fn input_mut<T: Element>(&mut self, index: usize) -> Result<&mut [T], GraphError> {
        let wrong = |problem| GraphError::Access { what: "input", index, problem };
        let input = self.plan.inputs.get(index).ok_or_else(|| wrong("there is none"))?;
        input.check::<T>("input", index)?;
        self.ran = false;
        if self.memory.len() < self.plan.bytes {
            return Err(wrong("has no memory"));
        }
        let bytes = &mut self.memory.get_mut()[input.place.offset..][..input.place.bytes];
        bytemuck::try_cast_slice_mut(bytes).map_err(|_| wrong("is not aligned"))
    }

    /// Computes the outputs from the inputs. Allocates nothing once it has run for the first time.
    ///
    /// # Errors
    /// [`GraphError::Plan`] if a layer fails, or the graph has no memory.
    pub fn run(&mut self) -> Result<(), GraphError> {
        self.ran = false;
        if self.memory.len() < self.plan.bytes {
            return Err(GraphError::Plan("a graph runs without memory".into()));
        }
        self.plan.run(&mut self.memory)?;
        self.ran = true;
        Ok(())
    }

    /// The values of an output, as the last run left them.
    ///
    /// # Errors
    /// [`GraphError::Access`] if there is no such output, it is of another type, or not there.
    pub fn output<T: Element>(&self, index: usize) -> Result<&[T], GraphError> {
        let wrong = |problem| GraphError::Access { what: "output", index, problem };
        let output = self.plan.outputs.get(index).ok_or_else(|| wrong("there is none"))?;
        output.check::<T>("output", index)?;
        if !self.ran {
            return Err(wrong("has not been computed"));
        }
        bytemuck::try_cast_slice(output.place.of(self.memory.get())).map_err(|_| wrong("is not aligned"))
    }

    /// Each layer in the order of the run: its name in the graph, the layer's kind, and how much it computes.
    pub fn layers(&self) -> impl Iterator<Item = (&str, &'static str, Work)> {
        self.plan.work()
    }

    /// How much all layers compute together.
    pub fn work(&self) -> Work {
        self.layers().fold(Work::default(), |sum, (_, _, work)| sum.plus(work))
    }

    /// Bytes of the memory that the graph needs.
    pub fn bytes(&self) -> usize {
        self.plan.bytes.saturating_add(ALIGN)
    }

    /// Bytes of the memory that the graph has: more than it needs where a larger one passed its own on.
    pub fn memory_bytes(&self) -> usize {
        self.memory.len().saturating_add(ALIGN)
    }

    /// Takes the memory away, and the outputs with it.
    pub fn detach(&mut self) -> Memory {
        self.ran = false;
        std::mem::take(&mut self.memory)
    }

    /// Gives the graph a memory, which is replaced by a larger one if it is too small.
    pub fn attach(&mut self, memory: Memory) {
        self.ran = false;
        self.memory = if memory.len() < self.plan.bytes {
            // The old one goes first.
            drop(memory);
            Memory::new(self.plan.bytes)
        } else {
            memory
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use crate::layer::{Fact, Io};
    use crate::weights::Weights;
    use ossicle_kernels::simd::Isa;

    fn session() -> Arc<Session> {
        Session::new(&Weights::none(), Options { isa: Isa::detect(), threads: 1 })
    }

    /// The sums of neighbours, or each value plus one in place.
    #[derive(Debug)]
    enum Toy {
        Pairs(usize),
        Next(usize),
    }

    impl Layer for Toy {
        fn name(&self) -> &'static str {
            "Toy"
        }

        fn outputs(&self) -> Vec<Fact> {
            let (Self::Pairs(count) | Self::Next(count)) = *self;
            vec![Fact::f32([count])]
        }

        fn in_place(&self) -> Option<usize> {
            matches!(self, Self::Next(_)).then_some(0)
        }

        fn run(&self, _: &Session, io: &mut Io<'_>) -> Result<(), GraphError> {
            let out = io.output::<f32>(0)?;
            assert!(io.output::<f32>(0).is_err() && io.input::<i32>(0).is_err());
            match self {
                Self::Pairs(_) => {
                    for (out, pair) in out.iter_mut().zip(io.input::<f32>(0)?.as_chunks::<2>().0) {
                        *out = pair[0] + pair[1];
                    }
                }
                Self::Next(_) => out.iter_mut().for_each(|value| *value += 1.0),
            }
            Ok(())
        }
    }

    /// Eight values, their pairs' sums, plus one, and those pairs' sums.
    fn runner() -> Result<Runner, GraphError> {
        let mut graph = GraphBuilder::new(&session());
        let mut x = graph.input::<f32>("x", &[8])?;
        for (i, layer) in [Toy::Pairs(4), Toy::Next(4), Toy::Pairs(2)].into_iter().enumerate() {
            x = graph.add(format!("layer{i}"), layer, &[x])?[0];
        }
        graph.plan(&[x])
    }

    #[test]
    fn wrong_types_and_places_are_errors() {
        let mut runner = runner().unwrap();
        assert!(runner.input_mut::<f32>(0).is_err() && runner.run().is_err(), "it has no memory");
        runner.attach(Memory::default());
        let access = |result: Result<(), GraphError>| matches!(result, Err(GraphError::Access { .. }));
        assert!(access(runner.input_mut::<i32>(0).map(drop)) && access(runner.input_mut::<f32>(1).map(drop)));
        assert!(access(runner.output::<f32>(0).map(drop)), "nothing has run");
        runner.input_mut::<f32>(0).unwrap().copy_from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        runner.run().unwrap();
        assert_eq!(runner.output::<f32>(0).unwrap(), [12.0, 28.0]);
        assert!(access(runner.output::<i8>(0).map(drop)) && access(runner.output::<f32>(1).map(drop)));
    }

    #[test]
    fn memory_is_passed_on() {
        let (mut one, mut other) = (runner().unwrap(), runner().unwrap());
        one.attach(Memory::default());
        for _ in 0..3 {
            for _ in 0..2 {
                one.input_mut::<f32>(0).unwrap().fill(2.0);
                one.run().unwrap();
                assert_eq!(one.output::<f32>(0).unwrap(), [10.0; 2]);
            }
            other.attach(one.detach());
            assert!(one.output::<f32>(0).is_err() && one.run().is_err());
            std::mem::swap(&mut one, &mut other);
        }
        // Two of the three are alive at a time; all begin at multiples of 64 bytes.
        assert_eq!((one.bytes(), one.memory_bytes()), (64 + 16 + ALIGN, 64 + 16 + ALIGN));
    }

    #[test]
    fn what_is_read_later_is_not_taken_over() {
        let mut graph = GraphBuilder::new(&session());
        let x = graph.input::<f32>("x", &[4]).unwrap();
        let next = graph.add("next", Toy::Next(4), &[x]).unwrap()[0];
        assert!(matches!(graph.plan(&[next, x]), Err(GraphError::Plan(_))));
        let mut graph = GraphBuilder::new(&session());
        let x = graph.input::<f32>("x", &[4]).unwrap();
        assert!(matches!(graph.finish(&[x], 15), Err(GraphError::Memory { needed: 80, most: 15 })));
    }
}
