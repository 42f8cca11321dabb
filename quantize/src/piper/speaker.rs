//! Voices of several speakers: one of them is taken.

use super::network::{Network, Pads};
use super::settings::Settings;
use super::{Conv, Voice};
use crate::Error;

/// Widest vector of a speaker.
const MAX_WIDTH: usize = 4096;

/// Makes `voice` the speaker of this name or number, or the first; a voice of one speaker stays as it is.
///
/// A speaker's vector is the same for all rows, and layers of one tap add what they make of it to the outputs of other convolutions: to their
/// biases, that is. `couplings` are the numbers of the flow's layers, in the voice's order.
pub(super) fn choose(
    voice: &mut Voice,
    network: &Network<'_>,
    settings: &Settings,
    couplings: &[usize],
    wanted: Option<&str>,
) -> Result<(), Error> {
    let graph = network.graph;
    let Some(table) = network.table("sid") else {
        return match wanted {
            Some(wanted) => Err(network.wrong(format!("no speaker {wanted:?}: the voice has one speaker"))),
            None => Ok(()),
        };
    };
    let shape = graph.shape(table).filter(|shape| shape.iter().all(|&size| size > 0));
    let Some(&[count, inputs @ ..=MAX_WIDTH]) = shape else {
        return Err(network.wrong(format!("{table}: not a table of speakers' vectors")));
    };
    let number = wanted.map_or(Ok(0), |wanted| settings.speaker(wanted, count)).map_err(|problem| network.wrong(problem))?;
    let vectors = graph.floats(table, &[count, inputs])?;
    let own = &vectors[number * inputs..][..inputs];
    let added = |name: &str, outputs: usize| -> Result<Vec<f32>, Error> {
        let conv = network.conv(name, Pads::Same)?;
        let Conv { inputs: have, outputs: makes, taps, .. } = conv;
        match (makes, have, taps) == (outputs, inputs, 1) {
            true => Ok(conv.of(own)),
            false => {
                Err(network.wrong(format!("{name}: {makes} outputs of {have} x {taps} values, {outputs} of {inputs} x 1 are expected")))
            }
        }
    };
    voice.duration_input.add_to_bias(&added("dp.cond", voice.duration_input.outputs)?);
    for (coupling, i) in voice.couplings.iter_mut().zip(couplings) {
        let gates = 2 * voice.config.hidden_size;
        let all = added(&format!("flow.flows.{i}.enc.cond_layer"), gates * coupling.layers.len())?;
        for ([enter, _], values) in coupling.layers.iter_mut().zip(all.chunks_exact(gates)) {
            enter.add_to_bias(values);
        }
    }
    voice.decoder_input.add_to_bias(&added("dec.cond", voice.decoder_input.outputs)?);
    if count > 1 {
        let name = settings.name(number).map_or(String::new(), |name| format!(" ({name})"));
        voice.speaker = Some(format!("number {number}{name} of {count}"));
    }
    Ok(())
}
