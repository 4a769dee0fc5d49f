"""Draw garments: cloth, a small photo studio, and one function for each type."""
