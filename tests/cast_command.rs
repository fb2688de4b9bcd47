//! `bittrue cast` as a process.

use std::io::Read;
use std::process::{Command, Stdio};

use assert_cmd::cargo::cargo_bin;

fn bittrue(args: &str) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(cargo_bin!());
    command.args(args.split_whitespace());
    command
}

#[test]
fn words_from_arguments_and_from_standard_input() {
    let cast = "cast --from s8f4 --to s4f0 --rounding AP_RND_CONV --overflow saturate";
    bittrue(&format!("{cast} 18 0xE8 7f")).assert().success().stdout("2\ne\n7\n");
    bittrue(cast).write_stdin("18\n0xE8\n7f").assert().success().stdout("2\ne\n7\n");
    bittrue(cast).write_stdin("").assert().success().stdout("");
}

#[test]
fn unless_told_it_floors_and_wraps() {
    bittrue("cast --from s8f4 --to s4f0 ff 80").assert().success().stdout("f\n8\n");
    bittrue("cast --from u8f0 --to s12f-2 ff").assert().success().stdout("03f\n");
}

#[test]
fn refusals_name_what_is_wrong() {
    let refused = |args: &str, named: &str| {
        let stderr = bittrue(args).assert().code(1).stdout("").get_output().stderr.clone();
        let stderr = String::from_utf8(stderr).unwrap();
        assert!(stderr.contains(named), "{args}: {stderr}");
    };
    refused("cast --from s0f0 --to s8f0 1", "s0f0");
    refused("cast --from s8f0 --to u65f0 1", "u65f0");
    refused("cast --from s8f0 --to 8.0 1", "`8.0`");
    refused("cast --from s8f0 --to s4f0 --rounding nearest 1", "`nearest`");
    refused("cast --from s8f0 --to s4f0 --overflow clip 1", "`clip`");
    refused("cast --from s8f0 --to s4f0 123", "`123`");
    refused("cast --from s8f0 --to s1f0 --overflow AP_SAT_SYM 1", "saturate_symmetric");
    refused(
        "cast --from s8f0 --to s4f0 --overflow wrap_sign_magnitude --rounding half_up 1",
        "floor",
    );
    bittrue("cast --from s8f0 1").assert().code(2);
}

/// A reader that leaves after one line, as `head -1` does, is no failure.
#[test]
fn a_closed_pipe_is_no_failure() {
    let input = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(input.path(), "7f\n".repeat(200_000)).unwrap();
    let mut child = Command::new(cargo_bin!())
        .args(["cast", "--from", "s8f4", "--to", "s64f0"])
        .stdin(input.reopen().unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 17];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    assert_eq!(&first, b"0000000000000007\n");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
