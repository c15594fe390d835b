"""A map taken away: its numbers as NetCDF and CSV, and the program or the command that makes it again."""

import io
import tempfile
from functools import partial
from pathlib import Path

import streamlit as st

from app.export import stem
from app.figures.maps_cells import Cells
from app.mapping import Map
from app.maps import Choice
from app.maps_code import python, shell
from app.words import _
from engine.sweeps import dataset, write_csv


def draw(found: Map, choice: Choice, cells: Cells) -> None:
    """A menu beside the map."""
    name = f"map_{'_'.join(axis.field for axis in choice.axes)}_{stem(cells.experiment)}"
    with st.popover(_("Take away"), icon=":material/download:", key="maps_take"):
        st.html(f"<p class='menu'>{_('All values of all seeds, also where it is not finished.')}</p>")
        with st.container(horizontal=True):
            st.download_button(
                _("NetCDF, for xarray"), partial(netcdf, found), f"{name}.nc", "application/x-netcdf",
                key="maps_netcdf", on_click="ignore",
            )  # fmt: skip
            st.download_button(
                _("CSV, a row a run"), partial(csv, found), f"{name}.csv", "text/csv", key="maps_csv",
                on_click="ignore",
            )  # fmt: skip
        st.html(f"<p class='menu'>{_('The same map in Python, on this machine or a cluster:')}</p>")
        st.code(python(cells.experiment, choice), language="python")
        st.html(f"<p class='menu'>{_('Or from a shell:')}</p>")
        st.code(shell(cells.experiment, choice), language="bash")


def netcdf(found: Map) -> bytes:
    file = io.BytesIO()
    dataset(found.plan, found.measured()).to_netcdf(file, engine="h5netcdf")
    return file.getvalue()


def csv(found: Map) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.csv"
        write_csv(dataset(found.plan, found.measured()), path)
        return path.read_bytes()
