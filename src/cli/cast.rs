//! `bittrue cast`: raw words from one fixed-point format into another.

use std::io::{self, BufRead, BufWriter, Write};

use crate::error::{Error, Result};
use crate::numeric::{Cast, Draws, Format, Lfsr16, Rounding};

/// Cast raw words from one fixed-point format into another
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Format of the words, such as s16f8: signed, 16 bits, 8 of them fractional
    #[arg(long, value_name = "FORMAT")]
    from: String,
    /// Format of the results
    #[arg(long, value_name = "FORMAT")]
    to: String,
    /// floor, toward_zero, half_up, half_toward_zero, half_away, half_down, half_even, stochastic,
    /// or the name that ap_fixed has for it
    #[arg(long, value_name = "MODE", default_value = "floor")]
    rounding: String,
    /// wrap, saturate, saturate_zero, saturate_symmetric, wrap_sign_magnitude, or the name that
    /// ap_fixed has for it
    #[arg(long, value_name = "MODE", default_value = "wrap")]
    overflow: String,
    /// Seed of stochastic rounding; each word has its own draw, by its position
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Take the draws of stochastic rounding from a 16-bit shift register that starts at N
    #[arg(long, value_name = "N", conflicts_with = "seed")]
    lfsr: Option<u16>,
    /// Raw words, two's complement in hex; one a line from standard input if there are none
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

/// Prints the results, one a line, in as many hex digits as their width needs.
///
/// # Errors
///
/// If a format, a mode or a word is refused, or standard input or output fails. An output that
/// is closed early is no failure.
pub fn run(args: &Args) -> Result<()> {
    let from = args.from.parse()?;
    let cast = Cast::new(args.to.parse()?, args.rounding.parse()?, args.overflow.parse()?)?;
    let draws = match args.lfsr {
        Some(start) => Source::Lfsr(Lfsr16::new(start)),
        None => Source::Counter(Draws::new(args.seed, 0)),
    };
    let output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut caster = Caster { from, cast, draws, count: 0, output };
    if args.words.is_empty() {
        return caster.lines(io::stdin().lock());
    }
    for word in &args.words {
        let raw = read_word(word.as_bytes(), from)
            .ok_or_else(|| refused(format_args!("word `{word}`"), from))?;
        if !caster.write(raw)? {
            break;
        }
    }
    caster.finish()
}

/// Where random words come from.
enum Source {
    Counter(Draws),
    Lfsr(Lfsr16),
}

struct Caster<W> {
    from: Format,
    cast: Cast,
    draws: Source,
    count: u64,
    output: W,
}

impl<W: Write> Caster<W> {
    /// Casts one word a line; blank lines are passed over.
    fn lines(&mut self, mut input: impl BufRead) -> Result<()> {
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let read = input.read_until(b'\n', &mut line);
            if read.map_err(|e| Error::new("standard input", e))? == 0 {
                break;
            }
            let word = line.trim_ascii();
            if word.is_empty() {
                continue;
            }
            let raw = read_word(word, self.from).ok_or_else(|| {
                let word = String::from_utf8_lossy(word);
                refused(format_args!("line {number}: word `{word}`"), self.from)
            })?;
            if !self.write(raw)? {
                return Ok(());
            }
        }
        self.finish()
    }

    /// Writes the result of a word; false if nobody reads on.
    fn write(&mut self, raw: i128) -> Result<bool> {
        let random = match &mut self.draws {
            _ if self.cast.rounding() != Rounding::Stochastic => 0,
            Source::Counter(draws) => draws.at(self.count),
            Source::Lfsr(register) => register.draw(),
        };
        self.count += 1;
        let word = self.cast.apply(raw, self.from.frac(), random);
        let to = self.cast.to();
        let (pattern, digits) = (to.pattern(word.raw), to.bits().div_ceil(4) as usize);
        still_read(writeln!(self.output, "{pattern:0digits$x}"))
    }

    fn finish(&mut self) -> Result<()> {
        still_read(self.output.flush()).map(|_| ())
    }
}

/// Whether a write went through; a pipe that the reader has closed ends the output in peace.
fn still_read(written: io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::new("standard output", e)),
    }
}

/// The raw word of hex digits, with or without `0x`; `None` if they are none or too many.
fn read_word(text: &[u8], format: Format) -> Option<i128> {
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    let mut pattern = 0_u64;
    for &digit in digits {
        let digit = (digit as char).to_digit(16)?;
        if pattern >> 60 != 0 {
            return None;
        }
        pattern = pattern << 4 | u64::from(digit);
    }
    format.raw(pattern)
}

fn refused(subject: std::fmt::Arguments, format: Format) -> Error {
    let bits = format.bits();
    Error::new(subject, format_args!("not a word of {format}, which is {bits} bits in hex"))
        .remedy("write the two's complement bits as hex digits, without a sign")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::Overflow;

    /// Runs lines of words through a caster from `from`.
    fn cast_lines(from: &str, cast: Cast, draws: Source, input: &str) -> Result<String> {
        let from = from.parse()?;
        let mut caster = Caster { from, cast, draws, count: 0, output: Vec::new() };
        caster.lines(input.as_bytes())?;
        Ok(String::from_utf8(caster.output).unwrap())
    }

    fn cast(to: &str, rounding: Rounding, overflow: Overflow) -> Cast {
        Cast::new(to.parse().unwrap(), rounding, overflow).unwrap()
    }

    /// 1.5 and −1.5 and the ends of s8f4.
    #[test]
    fn words_in_words_out() {
        let check = |to, expected: &str| {
            let cast = cast(to, Rounding::HalfEven, Overflow::Saturate);
            let found = cast_lines("s8f4", cast, counter(0), "18\n0xE8\r\n\n 7f\n0X80");
            assert_eq!(found.unwrap().split_whitespace().collect::<Vec<_>>().join(" "), expected);
        };
        check("s4f0", "2 e 7 8");
        check("s5f0", "02 1e 08 18");
        check("s12f8", "180 e80 7f0 800");
        check("u1f0", "1 0 1 0");
        check("s64f4", "0000000000000018 ffffffffffffffe8 000000000000007f ffffffffffffff80");
    }

    fn counter(seed: u64) -> Source {
        Source::Counter(Draws::new(seed, 0))
    }

    #[test]
    fn a_bad_word_is_named() {
        let check = |input: &str, named: &str| {
            let cast = cast("s4f0", Rounding::Floor, Overflow::Wrap);
            let error = cast_lines("s8f4", cast, counter(0), input).unwrap_err();
            assert_eq!(error.subject(), named);
        };
        check("00\n100\n", "line 2: word `100`");
        check("-1\n", "line 1: word `-1`");
        check("+1\n", "line 1: word `+1`");
        check("0x\n", "line 1: word `0x`");
        check("12 34\n", "line 1: word `12 34`");
        check("\nfffffffffffffffffffffffff", "line 2: word `fffffffffffffffffffffffff`");
        assert_eq!(read_word(b"0000000000000000000000ff", "u8f0".parse().unwrap()), Some(255));
    }

    #[test]
    fn draws_follow_seed_and_position() {
        let stochastic = cast("s8f0", Rounding::Stochastic, Overflow::Wrap);
        let words = "08\n".repeat(1000);
        let run = |draws| cast_lines("s8f4", stochastic, draws, &words).unwrap();
        assert_eq!(run(counter(1)), run(counter(1)));
        assert_ne!(run(counter(1)), run(counter(2)));
        let ups = run(counter(1)).matches("01").count();
        assert!((400..600).contains(&ups), "{ups}");
        // A half goes up where the register's top bit is set: 0xace1, then 0x5670.
        let register = run(Source::Lfsr(Lfsr16::new(0xace1)));
        assert!(register.starts_with("01\n00\n"));
    }

    #[test]
    fn a_closed_pipe_ends_the_output() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let cast = cast("s4f0", Rounding::Floor, Overflow::Wrap);
        let from = cast.to();
        let mut caster = Caster { from, cast, draws: counter(0), count: 0, output: Closed };
        assert!(caster.lines("1\n2\n".as_bytes()).is_ok());
    }
}
