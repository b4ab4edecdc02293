"""The KEDA external scaler: answers over gRPC how many servers a set should have."""
