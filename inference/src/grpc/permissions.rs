//! Roles that open each method.

use digits_server::{MethodRoles, Role, Roles};

const PREDICT: Roles = Roles::of(&[Role::Predict]);
const READ: Roles = Roles::of(&[Role::Predict, Role::Watch]);

/// By the path of the method.
pub const ROLES: MethodRoles = &[
    ("/digits.v1.InferenceService/Predict", PREDICT),
    ("/digits.v1.InferenceService/PredictStream", PREDICT),
    ("/digits.v1.InferenceService/ReportOutcome", PREDICT),
    ("/digits.v1.InferenceService/GetModel", READ),
    ("/inference.GRPCInferenceService/ModelInfer", PREDICT),
    ("/inference.GRPCInferenceService/ServerLive", READ),
    ("/inference.GRPCInferenceService/ServerReady", READ),
    ("/inference.GRPCInferenceService/ServerMetadata", READ),
    ("/inference.GRPCInferenceService/ModelReady", READ),
    ("/inference.GRPCInferenceService/ModelMetadata", READ),
    ("/inference.GRPCInferenceService/ModelConfig", READ),
    ("/inference.GRPCInferenceService/ModelStatistics", READ),
];
