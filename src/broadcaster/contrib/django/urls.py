"""The endpoints that Echo asks: `path("broadcasting/", include("broadcaster.contrib.django.urls"))`."""

from broadcaster.contrib.django.manager import broadcast
from broadcaster.contrib.django.views import endpoints

__all__ = ["app_name", "urlpatterns"]

app_name = "broadcasting"

urlpatterns = endpoints(broadcast)
