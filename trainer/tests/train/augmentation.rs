//! Training with augmentation.

use crate::support::{Record, notebook_plan, patterns};
use digits_checkpoint::Layer;
use digits_checkpoint::manifest::Architecture;
use digits_dataset::Dataset;
use digits_trainer::train::{
    Augmentation, Bundle, BundlePoint, Observer, Plan, PublishFailed, Row, Snapshot, Started, run,
};

fn strong() -> Augmentation {
    Augmentation {
        rotation_degrees: 10.0,
        shear_degrees: 5.0,
        scale_min: 0.9,
        scale_max: 1.1,
        shift_pixels: 1.0,
        elastic_alpha: 20.0,
        elastic_sigma: 5.0,
        noise: 0.1,
        pen: true,
        outlier_share: 0.2,
        styles: 0.2,
        letters: 0.1,
        digits: vec![3, 1, 4, 7],
        half_angles: vec![true, false],
    }
}

/// A plan on images that are neither square nor a whole number of batches.
fn plan(data: &Dataset) -> Plan {
    let plan = notebook_plan(data);
    Plan {
        architecture: Architecture {
            hidden: vec![12],
            ..plan.architecture
        },
        batch_size: 32,
        epochs: 3,
        validate_every: 2,
        augmentation: Some(strong()),
        ..plan
    }
}

fn data() -> Dataset {
    patterns(210, 9, 7, 4)
}

/// The final weights and the losses of the rows.
fn trained(change: impl FnOnce(&mut Plan)) -> (Vec<Layer>, Vec<f64>) {
    let data = data();
    let mut plan = plan(&data);
    change(&mut plan);
    let mut record = Record::default();
    run(&plan, &data, None, &mut record).expect("trains");
    let losses = record.rows.iter().map(|row| row.train_loss).collect();
    (last(record), losses)
}

fn last(mut record: Record) -> Vec<Layer> {
    record.snapshots.pop().expect("a snapshot").layers
}

/// Stops after some steps and keeps the bundle of that point.
#[derive(Default)]
struct BrokenOff {
    record: Record,
    bundle: Option<Bundle>,
}

impl Observer for BrokenOff {
    fn started(&mut self, started: &Started) {
        self.record.started(started);
    }

    fn row(&mut self, row: &Row) {
        self.record.row(row);
    }

    fn progress(&mut self, step: u64) {
        self.record.progress(step);
    }

    fn snapshot(&mut self, snapshot: Snapshot) -> Result<(), PublishFailed> {
        self.record.snapshot(snapshot)
    }

    fn should_stop(&self) -> bool {
        self.record.should_stop()
    }

    fn wants_bundle(&self, moment: BundlePoint) -> bool {
        moment == BundlePoint::Stop
    }

    fn bundle(&mut self, bundle: Bundle) {
        self.bundle = Some(bundle);
    }
}

/// Although bundles hold nothing of the augmentation.
#[test]
fn a_resumed_training_sees_the_same_augmented_images() {
    let data = data();
    let plan = plan(&data);
    let whole = trained(|_| ()).0;
    for steps in [1, 4, 11] {
        let mut first = BrokenOff::default();
        first.record.stop_after = Some(steps);
        run(&plan, &data, None, &mut first).expect("stops");
        let bundle = first.bundle.expect("a bundle").encode();
        let mut second = Record::default();
        run(&plan, &data, Some(&bundle), &mut second).expect("goes on");
        assert_eq!(last(second), whole, "broken off after {steps} steps");
    }
}

#[test]
fn equal_plans_give_equal_weights() {
    let (layers, losses) = trained(|_| ());
    assert!(losses.iter().all(|loss| loss.is_finite()));
    assert_eq!((layers, losses), trained(|_| ()));
}

#[test]
fn every_part_of_the_augmentation_changes_the_weights() {
    let all = trained(|_| ()).0;
    let without = |change: fn(&mut Augmentation)| {
        trained(|plan| plan.augmentation.iter_mut().for_each(change)).0
    };
    for (part, change) in [
        (
            "rotation",
            (|it| it.rotation_degrees = 0.0) as fn(&mut Augmentation),
        ),
        ("shear", |it| it.shear_degrees = 0.0),
        ("scale", |it| it.scale_max = 1.0),
        ("shift", |it| it.shift_pixels = 0.0),
        ("elastic", |it| it.elastic_alpha = 0.0),
        ("noise", |it| it.noise = 0.0),
        ("pen", |it| it.pen = false),
        ("outliers", |it| it.outlier_share = 0.0),
        ("styles", |it| it.styles = 0.0),
        ("digits of the labels", |it| it.digits[0] = 8),
        ("letters", |it| it.letters = 0.0),
        ("half angles", |it| it.half_angles.clear()),
    ] {
        assert_ne!(without(change), all, "{part}");
    }
    assert_ne!(trained(|plan| plan.augmentation = None).0, all);
}
