"""Writes event000000007.pyg; needs torch_geometric, which nothing else here does."""

from pathlib import Path

import torch
from torch_geometric.data import Data

# Two particles of four hits, one of which leaves two hits on one module, and two hits of noise.
EDGES = torch.tensor([[0, 1, 1, 2, 3, 5, 6, 7], [1, 2, 3, 4, 4, 6, 7, 8]])
R = torch.tensor([32.0, 72.0, 116.0, 116.5, 172.0, 32.0, 72.0, 116.0, 172.0, 260.0, 360.0])
PHI = torch.linspace(-1.0, 1.0, 11)

event = Data(
    hit_id=torch.arange(100, 111),
    hit_x=R * torch.cos(PHI),
    hit_y=R * torch.sin(PHI),
    hit_z=torch.linspace(-500.0, 500.0, 11),
    hit_r=R,
    hit_phi=PHI,
    hit_eta=torch.zeros(11),
    hit_region=torch.ones(11, dtype=torch.int64),
    hit_module_id=torch.tensor([1, 2, 3, 3, 4, 1, 2, 3, 4, 5, 6]),
    hit_particle_id=torch.tensor([11, 11, 11, 11, 11, 22, 22, 22, 22, 0, 0]),
    hit_cell_count=torch.arange(1, 12),
    hit_cell_val=torch.linspace(0.0, 1.0, 11),
    hit_leta=torch.linspace(0.0, 2.0, 11),
    track_edges=EDGES,
    track_particle_id=torch.tensor([11, 11, 11, 11, 11, 22, 22, 22]),
    track_particle_pt=torch.tensor([2000.0] * 5 + [500.0] * 3),  # MeV
    track_particle_eta=torch.tensor([0.5] * 5 + [-1.5] * 3),
    track_particle_radius=torch.tensor([0.01] * 5 + [25.0] * 3),
    track_particle_primary=torch.tensor([1] * 5 + [0] * 3),
    track_particle_nhits=torch.tensor([5] * 5 + [4] * 3),
    event_id="000000007",
    config=[{"stage": "data_reading"}],
)
torch.save(event, Path(__file__).with_name("event000000007.pyg"))
