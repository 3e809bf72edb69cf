"""A package, so that pytest knows where the browser that its tests share is to end."""
