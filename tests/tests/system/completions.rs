//! The completions of each shell.

use std::process::{Command, Stdio};
use system_tests::process::required;

fn completions(program: &str, shell: &str) -> String {
    let output = Command::new(program).args(["completions", shell]).output().expect("it runs");
    assert!(output.status.success(), "{shell}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn each_shell_completes_every_command() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = completions(&program, shell);
        for command in ["run", "import", "topics", "tail", "gateway", "completions"] {
            assert!(text.contains(command), "{shell} does not complete {command}");
        }
    }
}

/// Sourced by a real shell, which is then asked what it would offer.
#[test]
fn bash_takes_them_and_offers_a_command_by_its_beginning() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let ask = "COMP_WORDS=(daybook top); COMP_CWORD=1; _daybook daybook top daybook; echo \"${COMPREPLY[@]}\"";
    let script = format!("{}\n{ask}\n", completions(&program, "bash"));
    let output = Command::new("bash").args(["-c", &script]).output().expect("bash runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "topics", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_reader_that_has_seen_enough_ends_the_command_without_a_word() {
    let Some(program) = required("DAYBOOK_PROGRAM") else { return };
    let mut command = Command::new(program);
    let mut child = command.args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.success()), ("", false));
}
