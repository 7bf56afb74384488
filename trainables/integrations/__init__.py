"""Other people's trainers inside of a `Training`: one small file each, its package an extra of its own."""
