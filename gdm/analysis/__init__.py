"""What a trained model's latents are: what they vary, what they reach, how they are distributed, what images cost."""
