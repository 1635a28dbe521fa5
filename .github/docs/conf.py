"""Settings of Sphinx, the documentation site's generator."""

from vosbench import __version__

project = "vosbench"
project_copyright = "the vosbench authors, Apache-2.0"
release = __version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]

# anchors as GitHub makes them
myst_heading_anchors = 4
# notebooks are run: the site shows what they give today
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True

# a name in single backticks is a link where there is something to link to
default_role = "py:obj"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "vosbench"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
