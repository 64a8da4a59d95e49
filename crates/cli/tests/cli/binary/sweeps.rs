//! Submitting, watching, listing, stopping and promoting sweeps.

use super::{Fixture, err, out};
use digits_testing::services::{CHECKPOINT, SWEEP};

const GRID: [&str; 5] = ["sweep", "--grid", "learning-rate=0.03,0.1", "--seeds", "2"];

/// Table, chart and best trial of the sweep at its end.
const RESULTS: &str = "\
trial  learning_rate  seed  epochs    loss  accuracy  state            checkpoint
    1           0.03     7       5  0.0900   91.00 %  succeeded        0190a0b0-0000-7000-8000-0000000000c1
    2           0.03     6       5  0.0800   92.00 %  succeeded        0190a0b0-0000-7000-8000-0000000000c1
    3            0.1     7       5       -         -  failed           no room
    4            0.1     6       5  0.0600   94.00 %  succeeded, best  0190a0b0-0000-7000-8000-0000000000c1

accuracy on the validation set:
                    91.00                                      94.00
learning_rate=0.1   ...............................................o   94.00
learning_rate=0.03  o...............o...............................   91.50

best: trial 4, learning_rate=0.1 seed=6
  to serve it: digits sweep promote 0190a0b0-0000-7000-8000-0000000000a1
";

#[tokio::test]
async fn a_sweep_is_submitted_and_watched_to_its_end() {
    let fixture = Fixture::new().await;
    let output = fixture.run(&GRID).await;
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    let expected = [
        &format!("sweep {SWEEP}  4 trials"),
        "trial 1  learning_rate=0.03 seed=7  succeeded  accuracy 91.00 %, loss 0.0900",
        "trial 2  learning_rate=0.03 seed=6  succeeded  accuracy 92.00 %, loss 0.0800",
        "trial 3  learning_rate=0.1 seed=7  failed  no room",
        "trial 4  learning_rate=0.1 seed=6  succeeded  accuracy 94.00 %, loss 0.0600",
    ];
    assert_eq!(text.lines().take(5).collect::<Vec<_>>(), expected);
    let rest: Vec<&str> = text.lines().skip(5).collect();
    assert_eq!(rest, RESULTS.lines().collect::<Vec<_>>());
    let again = fixture.run(&["sweep", "show", "latest"]).await;
    assert_eq!(out(&again), RESULTS);
}

#[tokio::test]
async fn a_sweep_is_printed_as_json() {
    let fixture = Fixture::new().await;
    let words = [&GRID[..], &["--json"]].concat();
    let lines = fixture.documents(&words).await;
    assert_eq!(
        lines.len(),
        6,
        "the sweep, four trials, the sweep at its end"
    );
    let spec = &lines[0]["sweep"]["spec"];
    assert_eq!(spec["parameters"][0]["field"], "learning_rate");
    assert_eq!(
        spec["parameters"][0]["values"],
        serde_json::json!(["0.03", "0.1"])
    );
    assert_eq!(
        (&spec["seeds"], &spec["job"]["preset"]),
        (&2.into(), &"notebook".into())
    );
    assert_eq!(lines[1]["trial"]["number"], 1);
    assert_eq!(lines[3]["trial"]["error"], "no room");
    assert_eq!(lines[5]["sweep"]["best"]["number"], 4);
    let words = [&GRID[..], &["--json", "--detach"]].concat();
    assert_eq!(fixture.documents(&words).await.len(), 1);
    let shown = fixture.documents(&["sweep", "show", SWEEP, "--json"]).await;
    assert_eq!(shown[0]["state"], "SWEEP_STATE_SUCCEEDED");
    let listed = fixture.documents(&["sweep", "list", "--json"]).await;
    assert_eq!(listed[0]["sweeps"][0]["sweep_id"], SWEEP);
    let stopped = fixture
        .documents(&["sweep", "cancel", "rates", "--json"])
        .await;
    assert_eq!(stopped[0]["cancel_requested"], true);
}

#[tokio::test]
async fn random_search_and_halving_are_flags() {
    let fixture = Fixture::new().await;
    let line = "sweep --random 9 --log-range learning-rate=0.001..0.3 --range dropout=0..0.5 --random-seed 7 \
                --grid activation=relu,gelu --halving --min-epochs 2 --epochs 9 --detach --json";
    let words: Vec<&str> = line.split_whitespace().collect();
    let accepted = fixture.documents(&words).await;
    let spec = &accepted[0]["sweep"]["spec"];
    assert_eq!(
        spec["random"],
        serde_json::json!({"configurations": 9, "seed": 7})
    );
    assert_eq!(
        spec["halving"],
        serde_json::json!({"factor": 3, "min_epochs": 2})
    );
    let fields: Vec<_> = (0..3)
        .map(|index| spec["parameters"][index]["field"].clone())
        .collect();
    assert_eq!(fields, ["activation", "dropout", "learning_rate"]);
    let range = &spec["parameters"][2]["range"];
    assert_eq!(
        *range,
        serde_json::json!({"low": 0.001, "high": 0.3, "log": true})
    );
    assert_eq!(spec["job"]["epochs"], 9);
    let words: Vec<&str> = line
        .split_whitespace()
        .map(|it| if it == "--halving" { "--halving=2" } else { it })
        .collect();
    let accepted = fixture.documents(&words).await;
    assert_eq!(accepted[0]["sweep"]["spec"]["halving"]["factor"], 2);
}

#[tokio::test]
async fn the_list_and_the_ends_of_a_sweep_are_lines() {
    let fixture = Fixture::new().await;
    let listed = fixture.run(&["sweep", "list"]).await;
    assert_eq!(
        out(&listed).lines().collect::<Vec<_>>(),
        [
            "sweep                                 state      trials     best  age  fields         name",
            "0190a0b0-0000-7000-8000-0000000000a1  succeeded     4/4  94.00 %    -  learning_rate  rates",
        ]
    );
    let cancelled = fixture.run(&["sweep", "cancel", SWEEP]).await;
    let expected = format!("sweep {SWEEP} stops: its jobs end at their next steps\n");
    assert_eq!(out(&cancelled), expected);
    let promoted = fixture
        .documents(&["sweep", "promote", "rates", "--json"])
        .await;
    assert_eq!(promoted[0]["routes"][0]["checkpoint_id"], CHECKPOINT);
}

#[tokio::test]
async fn what_is_wrong_with_a_sweep_is_named_by_flag() {
    let fixture = Fixture::new().await;
    fixture
        .check_error(
            &["sweep", "--preset", "fast"],
            64,
            &["digits: nothing differs between the trials: give --grid FIELD=VALUE,VALUE, --range with --random, or \
               --seeds"],
        )
        .await;
    fixture
        .check_error(
            &["sweep", "--grid", "nonsense=1"],
            64,
            &[
                "digits: the trainer refused the request for 2 reasons:",
                "  --grid: a job spec has no field \"nonsense\"",
                "  --learning-rate: must be above 0",
            ],
        )
        .await;
    let unknown = "0190a0b0-0000-7000-8000-0000000000ff";
    fixture
        .check_error(
            &["sweep", "show", unknown],
            1,
            &[&format!(
                "digits: trainer: there is no sweep {unknown}: `digits sweep list` lists them"
            )],
        )
        .await;
    fixture
        .check_error(
            &["sweep", "promote", SWEEP, "--trial", "3"],
            1,
            &[&format!(
                "digits: trial 3 of sweep {SWEEP} has no checkpoint: `digits sweep show {SWEEP}` shows its trials"
            )],
        )
        .await;
    for (words, part) in [
        (
            &["sweep", "--grid", "hidden"][..],
            "takes FIELD=VALUE,VALUE",
        ),
        (&["sweep", "--range", "dropout=0..1"], "--random"),
        (
            &["sweep", "--random", "3", "--range", "dropout=0"],
            "takes FIELD=LOW..HIGH",
        ),
        (&["sweep", "--epochs", "3", "list"], "cannot be used with"),
    ] {
        let output = fixture.run(words).await;
        assert_eq!(output.status.code(), Some(64), "{words:?}");
        assert!(err(&output).contains(part), "{words:?}: {}", err(&output));
    }
    let help = fixture.run(&["sweep", "--help"]).await;
    let help = out(&help);
    assert!(
        help.contains("digits sweep --preset fast --grid learning_rate=0.03,0.1"),
        "{help}"
    );
    assert!(
        help.contains("promote") && help.contains("Sweep:"),
        "{help}"
    );
}
