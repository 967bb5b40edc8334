"""The project package: settings, the composition root, and nothing that knows the business."""
