//! Casts against vectors from two independent libraries; `data/make_casts.py` says how they were
//! made.

use bittrue::numeric::{Cast, Format};

/// The raw word of a two's complement bit pattern.
fn raw(pattern: &str, format: Format) -> i128 {
    let word = i128::from_str_radix(pattern, 16).unwrap();
    if word > format.max() { word - (1 << format.bits()) } else { word }
}

fn check(csv: &str, rows: usize) {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(csv.as_bytes());
    let mut seen = 0;
    for record in reader.records() {
        let record = record.unwrap();
        let from: Format = record[0].parse().unwrap();
        let to: Format = record[1].parse().unwrap();
        let cast = Cast::new(to, record[2].parse().unwrap(), record[3].parse().unwrap()).unwrap();
        assert_eq!(record[4].split(' ').count(), record[5].split(' ').count());
        for (word, result) in record[4].split(' ').zip(record[5].split(' ')) {
            let found = cast.apply(raw(word, from), from.frac(), 0).raw;
            assert_eq!(found, raw(result, to), "{word} in {record:?}");
        }
        seen += 1;
    }
    assert_eq!(seen, rows);
}

#[test]
fn apytypes() {
    check(include_str!("data/casts_apytypes.csv"), 504);
}

#[test]
fn ap_fixed() {
    check(include_str!("data/casts_ap_fixed.csv"), 1027);
}
