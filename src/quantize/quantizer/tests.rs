//! Binary, ternary and the sparsifiers; chains. The other families have their tests beside them.

use super::*;
use crate::quantize::Distribution;

const WEIGHTS: [f32; 8] = [0.5, -0.25, 0.0, 1.5, -1.0, 0.125, -0.0625, 0.75];

fn spec(text: &str) -> QuantizerSpec {
    let spec: QuantizerSpec = toml::from_str(text).unwrap();
    spec.check().unwrap();
    spec
}

fn chain(texts: &[&str], values: &[f32]) -> Chain {
    let specs: Vec<_> = texts.iter().map(|text| spec(text)).collect();
    let seen = Distribution::of("w", values).unwrap();
    Chain::fit(&specs, &Seen { distribution: Some(&seen), ..Seen::nothing("w") }).unwrap()
}

fn quantized(texts: &[&str], values: &[f32]) -> Vec<f64> {
    let mut result: Vec<f64> = values.iter().map(|&v| v.into()).collect();
    chain(texts, values).quantize(&mut result, Layout::vector(values.len()));
    result
}

fn squared_error(quantized: impl Fn(f64) -> f64, values: &[f32]) -> f64 {
    values.iter().map(|&v| (f64::from(v) - quantized(v.into())).powi(2)).sum()
}

#[test]
fn binary_has_the_magnitude_of_least_error() {
    let result = quantized(&["kind = 'binary'"], &WEIGHTS);
    let m = result[0];
    assert_eq!(result, [m, -m, m, m, -m, m, -m, m]);
    let error = |m: f64| squared_error(|v| if v < 0.0 { -m } else { m }, &WEIGHTS);
    for step in [0.9, 0.99, 1.01, 1.1] {
        assert!(error(m) < error(m * step), "{m}");
    }
}

#[test]
fn ternary_follows_the_paper() {
    // mean|w| = 4.1875 / 8, Δ = 0.7 · that = 0.3664…; above it are 0.5, 1.5, 1, 0.75.
    let m = 3.75 / 4.0;
    let expected = [m, 0.0, 0.0, m, -m, 0.0, 0.0, m];
    assert_eq!(quantized(&["kind = 'ternary'"], &WEIGHTS), expected);
    let chain = chain(&["kind = 'ternary'"], &WEIGHTS);
    // 0.9375 = 15 · 2^−4
    assert_eq!(chain.format().unwrap().to_string(), "s5f4");
    let stated = quantized(&["kind = 'ternary'\nthreshold = 0.5\nmagnitude = 2.0"], &WEIGHTS);
    assert_eq!(stated, [0.0, 0.0, 0.0, 2.0, -2.0, 0.0, 0.0, 2.0]);
}

#[test]
fn an_automatic_magnitude_can_be_rounded() {
    // mean|w| = 0.5234375 = 67 · 2^−7; to three significant bits ½.
    let text = "kind = 'binary'\nmagnitude_bits = 3";
    assert_eq!(quantized(&[text], &WEIGHTS)[0], 0.5);
    assert_eq!(chain(&[text], &WEIGHTS).format().unwrap().to_string(), "s2f1");
    let exact = chain(&["kind = 'binary'"], &WEIGHTS);
    assert_eq!(exact.format().unwrap().to_string(), "s8f7");
    assert_eq!(chain(&["kind = 'binary'"], &[0.0; 4]).format().unwrap().bits(), 2);
}

#[test]
fn sparsifiers_keep_the_largest() {
    let threshold = quantized(&["kind = 'threshold'\nthreshold = 0.5"], &WEIGHTS);
    assert_eq!(threshold, [0.5, 0.0, 0.0, 1.5, -1.0, 0.0, 0.0, 0.75]);
    // ⌈0.3 · 8⌉ = 3
    let top = quantized(&["kind = 'top_k'\nfraction = 0.3"], &WEIGHTS);
    assert_eq!(top, [0.0, 0.0, 0.0, 1.5, -1.0, 0.0, 0.0, 0.75]);
    let ties = quantized(&["kind = 'top_k'\nfraction = 0.5"], &[1.0, -1.0, 1.0, 1.0]);
    assert_eq!(ties, [1.0, -1.0, 0.0, 0.0]);
    let groups = quantized(&["kind = 'n_of_m'\nn = 1\nm = 3"], &WEIGHTS);
    assert_eq!(groups, [0.5, 0.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.75]);
}

#[test]
fn n_of_m_runs_along_the_input_channels() {
    // Two output channels, four input channels, two kernel positions.
    let mut values: Vec<f64> = (1..=16).map(f64::from).collect();
    let layout = Layout { channels: 4, inner: 2, tensor: 0 };
    NOfM { n: 1, m: 2 }.quantize(&mut values, layout);
    let kept = [3., 4., 7., 8., 11., 12., 15., 16.];
    assert_eq!(values.into_iter().filter(|&v| v != 0.0).collect::<Vec<_>>(), kept);
}

#[test]
fn values_only_quantizers_need_one_with_words_after_them() {
    let half = "kind = 'float'\nexponent = 5\nmantissa = 10";
    let error = chain(&[half], &WEIGHTS).format().unwrap_err();
    assert!(error.to_string().contains("values only"), "{error}");
    assert!(chain(&["kind = 'none'"], &WEIGHTS).format().is_err());
    let fixed = "kind = 'fixed'\nformat = 's8'";
    let threshold = "kind = 'threshold'\nthreshold = 0.3";
    assert!(chain(&[half, threshold], &WEIGHTS).format().is_err());
    let words = chain(&[half, fixed, threshold], &WEIGHTS)
        .words(WEIGHTS.iter().map(|&w| w.into()).collect(), Layout::vector(8))
        .unwrap();
    assert_eq!(words.format().to_string(), "s8f6");
    assert_eq!(words.to_vec(), [32, 0, 0, 96, -64, 0, 0, 48]);
}

#[test]
fn later_quantizers_are_settled_on_what_earlier_ones_give() {
    // ±4 at most, where the values themselves reach 2.9: log2 2.9 = 1.54.
    let texts = ["kind = 'power_of_two'\nbits = 4", "kind = 'fixed'\nformat = 's4'"];
    assert_eq!(chain(&texts, &[0.3, -2.9, 2.9]).format().unwrap().to_string(), "s4f0");
}

#[test]
fn chains_on_words_are_tables_between_maps() {
    let from: Format = "s4f1".parse().unwrap();
    let texts = [
        "kind = 'threshold'\nthreshold = 1.5",
        "kind = 'top_k'\nfraction = 0.5",
        "kind = 'float'\nexponent = 5\nmantissa = 10",
        "kind = 'fixed'\nformat = 's3f0'",
    ];
    let maps = chain(&texts, &WEIGHTS).maps(from, Shape::new(3, 1, 1)).unwrap();
    let [
        WordMap::Table { words, format },
        WordMap::TopK { keep: 2 },
        WordMap::Table { words: second, format: to },
    ] = &maps[..]
    else {
        panic!("{maps:?}")
    };
    assert_eq!(*format, from);
    assert_eq!(words[..], [-8, -7, -6, -5, -4, -3, 0, 0, 0, 0, 0, 3, 4, 5, 6, 7]);
    assert_eq!(to.to_string(), "s3f0");
    // −4, −3.5, …, 3.5, half to even, at most 3.
    assert_eq!(second[..], [-4, -4, -3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3, 3]);
    assert!(chain(&texts[..3], &WEIGHTS).maps(from, Shape::vector(4)).is_err());
    assert!(chain(&texts[..1], &WEIGHTS).maps("s17f0".parse().unwrap(), Shape::vector(4)).is_err());
}

#[test]
fn a_quantizer_that_gives_other_values_than_it_says_is_refused() {
    #[derive(Debug)]
    struct Thirds;
    impl Quantizer for Thirds {
        fn quantize(&self, values: &mut [f64], _: Layout) {
            values.iter_mut().for_each(|v| *v = (*v * 3.0).round() / 3.0);
        }
        fn words(&self) -> WordFormat {
            WordFormat::Exact("s8f4".parse().unwrap())
        }
        fn describe(&self) -> String {
            "thirds".into()
        }
    }
    let spec = QuantizerSpec::Custom(std::sync::Arc::new(Thirds));
    let chain = Chain::fit(&[spec], &Seen::nothing("conv1.weights")).unwrap();
    assert!(chain.words(vec![1.0, 2.0], Layout::vector(2)).is_ok());
    let error = chain.words(vec![0.4], Layout::vector(1)).unwrap_err();
    assert!(error.to_string().starts_with("conv1.weights"), "{error}");
}

#[test]
fn parameters_out_of_range_are_refused() {
    for text in [
        "kind = 'power_of_two'\nbits = 1",
        "kind = 'power_of_two'\nbits = 9",
        "kind = 'power_of_two'\nbits = 4\nmax_exponent = 1000",
        "kind = 'binary'\nmagnitude = 0",
        "kind = 'binary'\nmagnitude = nan",
        "kind = 'binary'\nmagnitude_bits = 0",
        "kind = 'ternary'\nthreshold = -1",
        "kind = 'ternary'\nmagnitude = 1\nmagnitude_bits = 3",
        "kind = 'float'\nexponent = 1\nmantissa = 3",
        "kind = 'float'\nexponent = 9\nmantissa = 3",
        "kind = 'float'\nexponent = 4\nmantissa = 0",
        "kind = 'threshold'\nthreshold = inf",
        "kind = 'top_k'\nfraction = 0",
        "kind = 'top_k'\nfraction = 1.5",
        "kind = 'n_of_m'\nn = 0\nm = 4",
        "kind = 'n_of_m'\nn = 5\nm = 4",
        "kind = 'fixed'\nformat = 's1'\noverflow = 'saturate_symmetric'",
        "kind = 'fixed'\nformat = 's8f600'",
    ] {
        let refused = toml::from_str::<QuantizerSpec>(text).map_err(|e| e.to_string());
        assert!(refused.is_err() || refused.unwrap().check().is_err(), "{text}");
    }
    for text in
        ["kind = 'fixed'\nformat = 's8'\nround = 'floor'", "kind = 'none'\nx = 1", "kind = 'log'"]
    {
        assert!(toml::from_str::<QuantizerSpec>(text).is_err(), "{text}");
    }
}
