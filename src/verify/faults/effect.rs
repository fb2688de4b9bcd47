//! How far faults reach: words and first classes that differ from those of the sound network.

use rayon::prelude::*;

use crate::error::Result;
use crate::report::{FaultLayer, FaultReport, Tally};
use crate::simulate::{BoundNetwork, ImageState};

/// Images that one thread takes at a time.
const PART: usize = 32;

/// Runs images 0 to `images` − 1 on a network and on the same with faults, and tells how they
/// differ. `run` computes the words of an image; `label` gives its label, if it has one.
///
/// # Errors
/// If `run` fails.
pub fn fault_report(
    spec: &str,
    [sound, broken]: [&BoundNetwork; 2],
    images: usize,
    run: impl Fn(&BoundNetwork, usize, &mut ImageState) -> Result<()> + Sync,
    label: impl Fn(usize) -> Option<usize>,
) -> Result<FaultReport> {
    let layers = sound.layers();
    let part = |start: usize| -> Result<_> {
        let mut states = [sound.state(), broken.state()];
        let (mut differing, mut outputs) = (vec![0; layers.len()], Vec::new());
        for image in start..images.min(start + PART) {
            let [sound_state, broken_state] = &mut states;
            run(sound, image, sound_state)?;
            run(broken, image, broken_state)?;
            count_differing(sound, sound_state, broken_state, &mut differing);
            outputs.push([sound.outputs(sound_state), broken.outputs(broken_state)]);
        }
        Ok((differing, outputs))
    };
    let starts: Vec<usize> = (0..images).step_by(PART).collect();
    let parts: Vec<_> = starts.par_iter().map(|&start| part(start)).collect::<Result<_>>()?;
    let (mut differing, mut tally) = (vec![0; layers.len()], Tally::default());
    for (start, (of_part, outputs)) in starts.into_iter().zip(parts) {
        differing.iter_mut().zip(of_part).for_each(|(sum, count): (&mut u64, u64)| *sum += count);
        for (offset, [sound, broken]) in outputs.iter().enumerate() {
            tally.add(label(start + offset), broken, Some(sound));
        }
    }
    let layer = |(index, differing): (usize, u64)| {
        let words = (layers[index].shape().len() * images) as u64;
        FaultLayer {
            name: layers[index].name().into(),
            words,
            differing: if words == 0 { 0.0 } else { differing as f64 / words as f64 },
        }
    };
    let written = differing.into_iter().enumerate().filter(|(i, _)| layers[*i].writes_words());
    let accuracy = tally.accuracy();
    Ok(FaultReport {
        spec: spec.into(),
        sound: accuracy.float,
        agreement: accuracy.agreement.unwrap_or(1.0),
        layers: written.map(layer).collect(),
    })
}

/// Adds to `differing`, by layer, the words of an image in which two runs of a network differ.
fn count_differing(
    network: &BoundNetwork,
    sound: &ImageState,
    broken: &ImageState,
    differing: &mut [u64],
) {
    for (index, count) in differing.iter_mut().enumerate() {
        if network.layers()[index].writes_words() {
            let (a, b) = (sound.words(index), broken.words(index));
            *count += (0..a.len()).filter(|&i| a.get(i) != b.get(i)).count() as u64;
        }
    }
}
