"""Types of the part of scipy that this project uses; scipy has none of its own."""
