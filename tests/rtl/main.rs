//! Designs in SystemVerilog, written from the documents, held against the model by simulators and a
//! synthesizer: words, cycles and resources. `docs/rtl.md` says what is here; `make rtl` installs
//! the programs and runs it. Where a program is missing, a test says so and does nothing.

mod arrays;
mod faults;
mod lockstep;
mod python;
mod synthesis;
mod tools;
